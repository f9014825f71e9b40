"""Every formula, once: pure functions, tensors in, tensors out.  No config, no logging, no model."""
