"""`fakturo sandbox`: a Salesforce org on this machine, REST and Pub/Sub, for the unmodified clients."""
