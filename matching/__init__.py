"""Record linkage on Splink: fields, model, training, scoring, clustering, evaluation. Knows no service and no database."""
