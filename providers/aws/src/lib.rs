//! Security groups of Amazon EC2: observe, pack changes into calls, carry a step out.
