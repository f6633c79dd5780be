"""The sandbox org's event bus: Avro change events over gRPC."""
