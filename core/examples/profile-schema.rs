//! Prints the JSON schema of profile files: `cargo run -p rsgsync-core --example profile-schema > docs/profile.schema.json`.

fn main() {
    println!("{:#}", rsgsync_core::profile::schema());
}
