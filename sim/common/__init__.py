"""What several families' models and benches use."""
