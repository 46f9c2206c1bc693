//! Answers of EC2, written by hand, replayed through the real SDK.
