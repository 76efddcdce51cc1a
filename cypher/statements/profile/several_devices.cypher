// name: profile/several_devices
// summary: A device of a profile that has some three of them, or else the nearest to it.
// params: none
// returns: key: String
// access: read
// index: none
MATCH (d:Device)-[:MEMBER_OF]->(p:Profile)
WITH p, count(*) AS devices, min(d.key) AS key
WHERE devices > 1
RETURN key
ORDER BY abs(devices - 3), key LIMIT 1
