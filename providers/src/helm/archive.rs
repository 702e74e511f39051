//! Reading a packed chart (`.tgz`) entry by entry, within bounds.

use std::io::{self, Read};

use flate2::read::MultiGzDecoder;

const BLOCK: usize = 512;
/// The bounds of helm itself are of this size.
const LARGEST_CHART: u64 = 100 << 20;
const MOST_ENTRIES: usize = 20_000;
const CUT_OFF: &str = "it is cut off, or unpacks to more than 100 MiB";
const LONGEST_NAME: u64 = 64 << 10;

/// One file of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Its path below the archive's one top folder.
    pub(crate) path: String,
    /// Its content.
    pub(crate) bytes: Vec<u8>,
}

/// The regular files of an archive, in its order.
pub(crate) struct Entries<R: Read> {
    tar: io::Take<MultiGzDecoder<R>>,
    read: usize,
}

impl<R: Read> Entries<R> {
    pub(crate) fn new(packed: R) -> Self {
        Self::within(packed, LARGEST_CHART)
    }

    /// The same for an archive that may unpack to so many bytes.
    pub(crate) fn within(packed: R, limit: u64) -> Self {
        Self { tar: MultiGzDecoder::new(packed).take(limit.min(LARGEST_CHART)), read: 0 }
    }

    /// How many bytes it may still unpack to.
    pub(crate) fn left(&self) -> u64 {
        self.tar.limit()
    }

    fn advance(&mut self) -> io::Result<Option<Entry>> {
        let mut long_name = None;
        let mut long_size = None;
        while let Some(header) = self.header()? {
            self.read += 1;
            if self.read > MOST_ENTRIES {
                return Err(damaged("it has too many entries"));
            }
            let size = long_size.take().map_or_else(|| header.size(), Ok)?;
            match header.sort() {
                b'0' | 0 => {
                    let name = long_name.take().unwrap_or_else(|| header.name());
                    let bytes = self.content(size)?;
                    if let Some(path) = below_top(&name)? {
                        return Ok(Some(Entry { path, bytes }));
                    }
                }
                b'x' => (long_name, long_size) = extended(&self.name(size)?),
                b'L' => long_name = Some(text(&self.name(size)?)),
                // Folders, links and whatever else there may be are no files of a chart.
                _ => self.skip(size)?,
            }
        }
        Ok(None)
    }

    fn header(&mut self) -> io::Result<Option<Header>> {
        let mut block = [0; BLOCK];
        match self.tar.read_exact(&mut block) {
            Ok(()) if block.iter().any(|&byte| byte != 0) => Ok(Some(Header(block))),
            Ok(()) => Ok(None),
            Err(end) if end.kind() == io::ErrorKind::UnexpectedEof && self.read > 0 && self.tar.limit() > 0 => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn name(&mut self, size: u64) -> io::Result<Vec<u8>> {
        if size > LONGEST_NAME { Err(damaged("a name in it is too long")) } else { self.content(size) }
    }

    fn content(&mut self, size: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.check(size)?;
        if self.tar.by_ref().take(size).read_to_end(&mut bytes)? as u64 != size {
            return Err(damaged(CUT_OFF));
        }
        self.skip_padding(size)?;
        Ok(bytes)
    }

    /// Sizes beyond the bound are not only too large: an extended header can state some that can't be counted with.
    fn check(&self, size: u64) -> io::Result<()> {
        if size > self.tar.limit() { Err(io::Error::new(io::ErrorKind::FileTooLarge, CUT_OFF)) } else { Ok(()) }
    }

    fn skip(&mut self, size: u64) -> io::Result<()> {
        self.check(size)?;
        io::copy(&mut self.tar.by_ref().take(size), &mut io::sink())?;
        self.skip_padding(size)
    }

    fn skip_padding(&mut self, size: u64) -> io::Result<()> {
        let padding = size.next_multiple_of(BLOCK as u64) - size;
        io::copy(&mut self.tar.by_ref().take(padding), &mut io::sink()).map(drop)
    }
}

impl<R: Read> Iterator for Entries<R> {
    type Item = io::Result<Entry>;

    fn next(&mut self) -> Option<Self::Item> {
        self.advance().transpose()
    }
}

struct Header([u8; BLOCK]);

impl Header {
    fn sort(&self) -> u8 {
        self.0[156]
    }

    fn name(&self) -> String {
        let (name, prefix) = (text(&self.0[..100]), text(&self.0[345..500]));
        let has_prefix = self.0[257..].starts_with(b"ustar\0") && !prefix.is_empty();
        if has_prefix { format!("{prefix}/{name}") } else { name }
    }

    fn size(&self) -> io::Result<u64> {
        let field = text(&self.0[124..136]);
        let digits = field.trim();
        if digits.is_empty() {
            Ok(0)
        } else {
            u64::from_str_radix(digits, 8).map_err(|_| damaged("a size in it is no number"))
        }
    }
}

/// Reads the records of an extended header: `LENGTH KEY=VALUE`, one a line.
fn extended(records: &[u8]) -> (Option<String>, Option<u64>) {
    let (mut path, mut size) = (None, None);
    let mut rest = records;
    while let Some((record, later)) = record(rest) {
        if let Some(value) = record.strip_prefix("path=") {
            path = Some(value.to_owned());
        } else if let Some(value) = record.strip_prefix("size=") {
            size = value.parse().ok();
        }
        rest = later;
    }
    (path, size)
}

fn record(records: &[u8]) -> Option<(&str, &[u8])> {
    let digits = records.iter().position(|&byte| byte == b' ')?;
    let length: usize = std::str::from_utf8(&records[..digits]).ok()?.parse().ok()?;
    let record = std::str::from_utf8(records.get(digits + 1..length)?).ok()?;
    Some((record.trim_end_matches('\n'), &records[length..]))
}

fn text(field: &[u8]) -> String {
    let end = field.iter().position(|&byte| byte == 0).unwrap_or(field.len());
    String::from_utf8_lossy(&field[..end]).into_owned()
}

/// Drops the top folder of a path; `None` where nothing is below it.
fn below_top(name: &str) -> io::Result<Option<String>> {
    let name = name.replace('\\', "/");
    let parts: Vec<&str> = name.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    if name.starts_with('/') || parts.contains(&"..") {
        return Err(damaged("a path in it leads out of it"));
    }
    Ok((parts.len() > 1).then(|| parts[1..].join("/")))
}

fn damaged(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
pub(crate) mod tests {
    use std::io::Write as _;

    use proptest::prelude::*;

    use super::*;

    /// Packs files as `tar` does.
    pub(crate) fn pack(files: &[(&str, &[u8])]) -> Vec<u8> {
        let tar: Vec<u8> =
            files.iter().flat_map(|(name, bytes)| member(name, b'0', bytes)).chain([0; 2 * BLOCK]).collect();
        gzip(&tar)
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packer.write_all(bytes).unwrap();
        packer.finish().unwrap()
    }

    fn member(name: &str, sort: u8, bytes: &[u8]) -> Vec<u8> {
        let mut block = vec![0; BLOCK];
        block[..name.len()].copy_from_slice(name.as_bytes());
        block[124..135].copy_from_slice(format!("{:011o}", bytes.len()).as_bytes());
        block[156] = sort;
        block.extend(bytes);
        block.resize(block.len().next_multiple_of(BLOCK), 0);
        block
    }

    fn read(packed: &[u8]) -> io::Result<Vec<(String, Vec<u8>)>> {
        Entries::new(packed).map(|entry| entry.map(|entry| (entry.path, entry.bytes))).collect()
    }

    #[test]
    fn files_are_read_below_the_top_folder_and_folders_and_links_are_not() {
        let tar = [
            member("app/", b'5', b""),
            member("app/Chart.yaml", b'0', b"name: app"),
            member("app/link", b'2', b""),
            member("./app/templates/a.yaml", 0, &[b'x'; 600]),
        ];
        let files = read(&gzip(&tar.concat())).unwrap();
        assert_eq!(files, [("Chart.yaml".into(), b"name: app".to_vec()), ("templates/a.yaml".into(), vec![b'x'; 600])]);
    }

    #[test]
    fn long_names_are_read_in_each_of_their_forms() {
        let long = format!("app/{}/a.yaml", "d".repeat(120));
        let record = format!(" path={long}\n");
        let record = format!("{}{record}", record.len() + 3);
        let split = member("a.yaml", b'0', b"3");
        let mut split = split;
        split[257..263].copy_from_slice(b"ustar\0");
        split[345..345 + 124].copy_from_slice(&long.as_bytes()[..124]);
        let tar = [
            member("pax", b'x', record.as_bytes()),
            member("app/cut", b'0', b"1"),
            member("././@LongLink", b'L', format!("{long}\0").as_bytes()),
            member("app/cut", b'0', b"2"),
            split,
        ];
        let files = read(&gzip(&tar.concat())).unwrap();
        let path = long.strip_prefix("app/").unwrap();
        assert_eq!(
            files.iter().map(|(name, bytes)| (name.as_str(), bytes[0])).collect::<Vec<_>>(),
            [(path, b'1'), (path, b'2'), (path, b'3'),]
        );
    }

    #[test]
    fn paths_that_lead_out_are_refused() {
        for name in ["app/../../etc/passwd", "/etc/passwd", "app\\..\\..\\x"] {
            assert!(read(&pack(&[(name, b"x")])).is_err(), "{name}");
        }
    }

    #[test]
    fn what_is_cut_off_or_no_archive_is_refused() {
        let packed = pack(&[("app/Chart.yaml", &[b'x'; 5000])]);
        let cut = gzip(&member("app/Chart.yaml", b'0', &[b'x'; 5000])[..2000]);
        for bytes in [&packed[..packed.len() / 2], b"no archive", b"", &gzip(b"short"), &cut] {
            assert!(read(bytes).is_err());
        }
    }

    #[test]
    fn an_archive_without_end_is_refused() {
        let mut endless = member("app/large", b'0', b"");
        endless[124..135].copy_from_slice(b"77777777777");
        assert!(read(&gzip(&endless)).is_err());
        let many: Vec<u8> = (0..MOST_ENTRIES + 1).flat_map(|_| member("app/", b'5', b"")).collect();
        assert!(read(&gzip(&many)).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..1500)) {
            drop(read(&bytes));
            drop(read(&gzip(&bytes)));
        }
    }
}
