"""What is published for machines: schemas and the AsyncAPI document."""
