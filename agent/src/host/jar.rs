//! What is in a JAR, by its central directory; nothing is unpacked.

use std::fs::File;
use std::io::{self, BufReader};
use std::path::Path;

use zip::ZipArchive;

/// Those of the classes (`com.mysql.cj.jdbc.Driver`) that a JAR holds.
///
/// # Errors
/// Those of the file system; a file that is no JAR.
pub fn classes_in(jar: &Path, classes: &[String]) -> io::Result<Vec<String>> {
    let file = File::open(jar)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file"));
    }
    let archive = ZipArchive::new(BufReader::new(file)).map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))?;
    let held = |class: &&String| archive.index_for_name(&format!("{}.class", class.replace('.', "/"))).is_some();
    Ok(classes.iter().filter(held).cloned().collect())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_class_is_found_by_its_path() {
        let dir = tempfile::tempdir().expect("temp dir");
        let jar = dir.path().join("driver.jar");
        let mut zip = zip::ZipWriter::new(File::create(&jar).expect("makes"));
        zip.start_file("com/mysql/cj/jdbc/Driver.class", zip::write::SimpleFileOptions::default()).expect("begins");
        zip.write_all(b"x").expect("writes");
        zip.finish().expect("ends");
        let wanted = ["com.mysql.cj.jdbc.Driver".to_owned(), "com.mysql.jdbc.Driver".to_owned()];
        assert_eq!(classes_in(&jar, &wanted).expect("reads"), [wanted[0].clone()]);
        std::fs::write(&jar, b"no zip").expect("writes");
        assert_eq!(classes_in(&jar, &wanted).expect_err("no JAR").kind(), io::ErrorKind::InvalidData);
    }
}
