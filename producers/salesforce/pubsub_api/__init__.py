"""The Pub/Sub API: its .proto and the code generated from it (`make proto`)."""
