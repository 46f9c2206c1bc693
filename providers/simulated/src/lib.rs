//! The embedded cloud: in memory or in a file, as strict as the strictest real one.
