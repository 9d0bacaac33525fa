"""What several families' gateware uses."""
