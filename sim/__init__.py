"""Golden models, benches and the harness that hold the gateware to them."""
