"""Record linkage on Splink: fields, model, training, scoring, clusters, evaluation. It knows no service or database."""
