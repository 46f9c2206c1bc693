//! Files that are there whole or not at all.

use std::io::{self, Write};
use std::path::Path;

/// Who may read a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readers {
    /// Its owner only: it tells of a cloud.
    Owner,
    /// Everybody: another program reads it.
    All,
}

/// Makes a file that isn't there yet, whole or not at all; an error of kind `AlreadyExists` when it is.
pub fn make(path: &Path, text: &str) -> io::Result<()> {
    let mut file = beside(path)?;
    file.write_all(text.as_bytes())?;
    for_all(&file)?;
    file.as_file().sync_all()?;
    file.persist_noclobber(path)?;
    Ok(())
}

fn beside(path: &Path) -> io::Result<tempfile::NamedTempFile> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Its own error names a file that nobody asked for.
    tempfile::NamedTempFile::new_in(folder).map_err(|error| error.kind().into())
}

#[cfg_attr(not(unix), expect(unused_variables, reason = "elsewhere a file's folder decides"))]
fn for_all(file: &tempfile::NamedTempFile) -> io::Result<()> {
    #[cfg(unix)]
    file.as_file().set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))?;
    Ok(())
}

/// Writes a file: beside its place first, and there when it is complete. What is there and is no plain file, such as
/// `/dev/stdout` or a link, is written through.
pub fn save(path: &Path, text: &str, readers: Readers) -> io::Result<()> {
    if std::fs::symlink_metadata(path).is_ok_and(|there| !there.is_file()) {
        return std::fs::write(path, text);
    }
    let mut file = beside(path)?;
    file.write_all(text.as_bytes())?;
    if readers == Readers::All {
        for_all(&file)?;
    }
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}
