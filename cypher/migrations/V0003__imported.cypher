// Neo4j's own import cannot write an empty list. It also leaves a graph without migrations, so this runs after each.
MATCH (p:Profile) WHERE p.limited IS NULL SET p.limited = [];
