//! Files that are there whole or not at all.

use std::io::{self, Write};
use std::path::Path;

/// Writes a file that only its owner may read: beside its place first, and there when it is complete.
pub fn save(path: &Path, text: &str) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}
