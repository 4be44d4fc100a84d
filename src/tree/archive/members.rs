//! The members of a tar archive, one after the other.

use std::borrow::Cow;
use std::ffi::CString;
use std::io::{self, Read};

use tar::Header;

use super::Fault;
use super::header::{BLOCK, checksum_fits, device, number, owner, unsigned};
use super::pax::Records;
use super::sparse::{self, Map};

/// The most bytes of one pax header; attributes of 64 KiB each and long maps of holes fit.
const MAX_RECORDS: u64 = 16 << 20;

/// The most bytes of records for all members that follow: each of them gets a copy.
const MAX_DEFAULTS: u64 = 64 << 10;

/// The most bytes of a name, far above what the system can make.
const MAX_NAME: u64 = 64 << 10;

/// What a member is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// A regular file; with holes, where its data goes.
    File(Option<Map>),
    Directory,
    Symlink(Vec<u8>),
    HardLink(Vec<u8>),
    Fifo,
    /// A device of characters.
    Char(u32, u32),
    /// A device of blocks.
    Block(u32, u32),
}

/// One member, as its headers describe it.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub name: Vec<u8>,
    pub content: Content,
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    /// The owners' names, empty where there are none.
    pub user: Vec<u8>,
    pub group: Vec<u8>,
    pub mtime: (i64, u32),
    pub xattrs: Vec<(CString, Vec<u8>)>,
    /// An access control list as text, which is not restored.
    pub text_acl: bool,
}

/// Reads members; the data of the current one is read through it too.
pub(crate) struct Members<R> {
    reader: R,
    /// Bytes of the current member's data that are still to come, and of padding after them.
    left: u64,
    padding: u64,
    defaults: Records,
    last_name: Vec<u8>,
}

impl<R: Read> Members<R> {
    pub fn new(reader: R) -> Self {
        Self {
            reader,
            left: 0,
            padding: 0,
            defaults: Records::default(),
            last_name: Vec::new(),
        }
    }

    /// The name of the last member that was begun; empty before the first.
    pub fn last_name(&self) -> &[u8] {
        &self.last_name
    }

    /// Bytes of the current member's data that were not read yet.
    pub fn left(&self) -> u64 {
        self.left
    }

    /// The next member; `None` at the end of the archive. What is left of the current one's data is
    /// passed over.
    pub fn next(&mut self) -> Result<Option<Member>, Fault> {
        let mut local: Option<Records> = None;
        let mut long_name = None;
        let mut long_link = None;
        loop {
            self.skip()?;
            let Some(block) = self.block()? else {
                return Err(Fault::new(
                    "the archive is truncated: the mark of its end is missing",
                ));
            };
            if block.iter().all(|byte| *byte == 0) {
                if local.is_some() || long_name.is_some() || long_link.is_some() {
                    return Err(Fault::new("the archive is corrupt: a member is missing"));
                }
                return Ok(None);
            }
            if !checksum_fits(&block) {
                return Err(Fault::new(
                    "the archive is corrupt: a header's checksum is wrong",
                ));
            }
            let header = Header::from_byte_slice(&block);
            let size = unsigned(&header.as_old().size, "size")?;
            match block[156] {
                b'x' | b'X' => local = Some(self.records(size, MAX_RECORDS)?),
                b'g' => {
                    let left = MAX_DEFAULTS.saturating_sub(self.defaults.size());
                    let records = self.records(size, left)?;
                    self.defaults.extend(records);
                }
                b'L' => long_name = Some(self.long(size)?),
                b'K' => long_link = Some(self.long(size)?),
                // A label of the whole archive.
                b'V' => self.begin(size)?,
                kind => {
                    let mut records = self.defaults.clone();
                    if let Some(local) = local.take() {
                        records.extend(local);
                    }
                    let name = name_of(header, &records, long_name.take());
                    self.last_name.clone_from(&name);
                    let link = records
                        .get("linkpath")
                        .map(<[u8]>::to_vec)
                        .or(long_link.take())
                        .or_else(|| header.link_name_bytes().map(Cow::into_owned))
                        .unwrap_or_default();
                    return self.member(header, kind, name, link, &records).map(Some);
                }
            }
        }
    }

    fn member(
        &mut self,
        header: &Header,
        kind: u8,
        name: Vec<u8>,
        link: Vec<u8>,
        records: &Records,
    ) -> Result<Member, Fault> {
        let fields = header.as_old();
        let size = match records.number("size")? {
            Some(size) => size,
            None => unsigned(&fields.size, "size")?,
        };
        // GNU tar notes the size of the linked file although no data follows.
        self.begin(if kind == b'1' { 0 } else { size })?;
        let content = match kind {
            // Before ustar a directory was a file whose name ended in a slash.
            b'0' | 0 if name.ends_with(b"/") => Content::Directory,
            b'0' | 0 | b'7' => Content::File(sparse::from_records(records, self)?),
            b'S' => Content::File(Some(sparse::from_header(header, self, size)?)),
            b'1' => Content::HardLink(link),
            b'2' => Content::Symlink(link),
            b'3' => {
                let (major, minor) = device(header)?;
                Content::Char(major, minor)
            }
            b'4' => {
                let (major, minor) = device(header)?;
                Content::Block(major, minor)
            }
            b'5' | b'D' => Content::Directory,
            b'6' => Content::Fifo,
            b'M' => return Err(Fault::new("it continues another volume's member")),
            other => {
                return Err(Fault::new(format!(
                    "it has the unknown type `{}`",
                    other.escape_ascii()
                )));
            }
        };
        let number_of = |key, field: &[u8]| match records.number(key)? {
            Some(value) => Ok(i128::from(value)),
            None => number(field),
        };
        let mtime = match records.time("mtime")? {
            Some(time) => time,
            None => {
                let seconds = i64::try_from(number(&fields.mtime)?)
                    .map_err(|_| Fault::new("its time is out of range"))?;
                (seconds, 0)
            }
        };
        let mode = unsigned(&fields.mode, "mode")? & 0o7777;
        Ok(Member {
            name,
            content,
            mode: u32::try_from(mode).unwrap_or_default(),
            uid: owner(number_of("uid", &fields.uid)?)?,
            gid: owner(number_of("gid", &fields.gid)?)?,
            user: name_in(records, "uname", header.username_bytes()),
            group: name_in(records, "gname", header.groupname_bytes()),
            mtime,
            xattrs: records.xattrs()?,
            text_acl: records.has_text_acl(),
        })
    }

    /// Reads data of the current member; 0 at its end.
    pub fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Fault> {
        let wanted = usize::try_from(self.left).map_or(buffer.len(), |left| left.min(buffer.len()));
        if wanted == 0 {
            return Ok(0);
        }
        loop {
            match self.reader.read(&mut buffer[..wanted]) {
                Ok(0) => return Err(Fault::from_read(io::ErrorKind::UnexpectedEof.into())),
                Ok(n) => {
                    self.left -= n as u64;
                    return Ok(n);
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(Fault::from_read(e)),
            }
        }
    }

    /// Reads one block of the current member's data; `None` when less than that is left.
    pub fn data_block(&mut self) -> Result<Option<[u8; BLOCK]>, Fault> {
        let Some(left) = self.left.checked_sub(BLOCK as u64) else {
            return Ok(None);
        };
        self.left = left;
        match self.block()? {
            Some(block) => Ok(Some(block)),
            None => Err(Fault::from_read(io::ErrorKind::UnexpectedEof.into())),
        }
    }

    /// Reads one block; `None` when the archive ends before it.
    pub fn block(&mut self) -> Result<Option<[u8; BLOCK]>, Fault> {
        let mut block = [0; BLOCK];
        let mut filled = 0;
        while filled < BLOCK {
            match self.reader.read(&mut block[filled..]) {
                Ok(0) if filled == 0 => return Ok(None),
                Ok(0) => return Err(Fault::from_read(io::ErrorKind::UnexpectedEof.into())),
                Ok(n) => filled += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(Fault::from_read(e)),
            }
        }
        Ok(Some(block))
    }

    /// Reads on to the end of the file, so that a compressed one is checked as a whole. Returns
    /// whether anything but zeros follows.
    pub fn finish(&mut self) -> Result<bool, Fault> {
        let mut buffer = vec![0; 64 * 1024];
        let mut more = false;
        loop {
            match self.reader.read(&mut buffer) {
                Ok(0) => return Ok(more),
                Ok(n) => more |= buffer[..n].iter().any(|byte| *byte != 0),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(Fault::from_read(e)),
            }
        }
    }

    /// Notes that `size` bytes of data follow.
    fn begin(&mut self, size: u64) -> Result<(), Fault> {
        let block = BLOCK as u64;
        self.padding = (block - size % block) % block;
        self.left = size;
        match size.checked_add(self.padding) {
            Some(_) => Ok(()),
            None => Err(Fault::new("its size is out of range")),
        }
    }

    /// Passes over what is left of the current member.
    fn skip(&mut self) -> Result<(), Fault> {
        self.left += std::mem::take(&mut self.padding);
        let mut buffer = [0; 32 * 1024];
        while self.read(&mut buffer)? > 0 {}
        Ok(())
    }

    fn records(&mut self, size: u64, limit: u64) -> Result<Records, Fault> {
        let data = self.all(size, limit, "pax header")?;
        Records::parse(&data)
    }

    fn long(&mut self, size: u64) -> Result<Vec<u8>, Fault> {
        let mut name = self.all(size, MAX_NAME, "long name")?;
        name.truncate(
            name.iter()
                .position(|byte| *byte == 0)
                .unwrap_or(name.len()),
        );
        Ok(name)
    }

    fn all(&mut self, size: u64, limit: u64, what: &str) -> Result<Vec<u8>, Fault> {
        if size > limit {
            return Err(Fault::new(format!(
                "the archive is corrupt: a {what} of {size} bytes"
            )));
        }
        self.begin(size)?;
        let mut data = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            match self.read(&mut buffer)? {
                0 => return Ok(data),
                n => data.extend_from_slice(&buffer[..n]),
            }
        }
    }
}

/// A name of an owner, from its record or its field.
fn name_in(records: &Records, key: &str, field: Option<&[u8]>) -> Vec<u8> {
    records.get(key).or(field).unwrap_or_default().to_vec()
}

/// The name, from where the format at hand puts it.
fn name_of(header: &Header, records: &Records, long: Option<Vec<u8>>) -> Vec<u8> {
    records
        .get("GNU.sparse.name")
        .or_else(|| records.get("path"))
        .map(<[u8]>::to_vec)
        .or(long)
        .unwrap_or_else(|| header.path_bytes().into_owned())
}
