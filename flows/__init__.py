"""What turns a config into artefacts."""
