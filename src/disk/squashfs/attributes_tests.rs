use super::*;

/// Where the file system of these tests has its table.
const START: u64 = 5000;

/// A table of one list, with a superblock before it, in a file that begins with so many other bytes.
fn file(lists: &[List<'_>], offset: u64) -> File {
    let (table, header) = write(lists, START);
    let file = tempfile::tempfile().unwrap();
    let used = START + table.len() as u64;
    file.set_len(offset + used.next_multiple_of(GRAIN)).unwrap();
    put(&file, offset + BYTES_USED, used);
    put(&file, offset + TABLE, START + header);
    file.write_all_at(&table, offset + START).unwrap();
    file
}

fn put(file: &File, at: u64, number: u64) {
    file.write_all_at(&number.to_le_bytes(), at).unwrap();
}

fn bytes(file: &File) -> Vec<u8> {
    let mut all = vec![0; file.metadata().unwrap().len() as usize];
    file.read_exact_at(&mut all, 0).unwrap();
    all
}

const fn one<'a>(prefix: u16, name: &'a [u8], value: &'a [u8]) -> Attribute<'a> {
    Attribute {
        prefix,
        name,
        value,
    }
}

fn in_order<'a>(all: &[Attribute<'a>], order: &[usize]) -> List<'a> {
    let attributes = order.iter().map(|n| all[*n]).collect();
    List {
        attributes,
        size: 77,
    }
}

/// The lists of a table that is where these tests have it.
fn lists_of<T>(file: &File, offset: u64, check: impl FnOnce(Vec<List<'_>>) -> T) -> T {
    let all = bytes(file).split_off(offset as usize);
    let number = |at: u64| number_at(file, offset + at).unwrap() as usize;
    let header = number(TABLE);
    let first = number(header as u64 + HEADER as u64);
    let values = plain(&all[START as usize..first]).unwrap();
    let numbered = plain(&all[first..header]).unwrap();
    let lists = numbered.chunks_exact(LIST).map(|one| list(one, &values));
    check(lists.collect::<Option<_>>().unwrap())
}

#[test]
fn every_order_becomes_the_same() {
    let long = [7; 3 * BLOCK];
    let all = [
        one(0, b"a", b"the same value"),
        one(0, b"b", b""),
        one(1, b"a", &long),
        one(2, b"capability", b"the same value"),
        one(2, b"selinux", &long),
    ];
    let mut expected = None;
    for order in [[0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [2, 0, 4, 1, 3]] {
        for offset in [0, 1 << 20] {
            let given = [in_order(&all, &order), in_order(&all, &order[..2])];
            let file = file(&given, offset);
            assert!(sort(&file, offset).unwrap());
            let is_sorted = lists_of(&file, offset, |lists| {
                assert_eq!(lists[0], in_order(&all, &[0, 1, 2, 3, 4]));
                assert_eq!(lists[1].attributes.len(), 2);
                lists[1].attributes.is_sorted()
            });
            assert!(is_sorted);
            // What is long is there once.
            let image = bytes(&file).split_off(offset as usize);
            assert!(image.len() < START as usize + 5 * BLOCK);
            assert_eq!(image.len() as u64 % GRAIN, 0);
            let first = lists_of(&file, offset, |lists| format!("{:?}", lists[0]));
            let (same, whole) = expected.get_or_insert_with(|| (first.clone(), image.clone()));
            assert_eq!(*same, first);
            if order[..2] == [0, 1] {
                assert!(*whole == image);
            }
        }
    }
}

#[test]
fn many_lists_keep_their_numbers() {
    let names: Vec<String> = (0..2000).map(|n| format!("name-{n}")).collect();
    let given: Vec<List<'_>> = names
        .iter()
        .map(|name| {
            let all = [one(2, b"x", name.as_bytes()), one(0, name.as_bytes(), b"x")];
            in_order(&all, &[0, 1])
        })
        .collect();
    let file = file(&given, 0);
    assert!(sort(&file, 0).unwrap());
    lists_of(&file, 0, |lists| {
        assert_eq!(lists.len(), names.len());
        for (list, name) in lists.iter().zip(&names) {
            assert_eq!(list.attributes[0], one(0, name.as_bytes(), b"x"));
            assert_eq!(list.attributes[1], one(2, b"x", name.as_bytes()));
        }
    });
    let before = bytes(&file);
    assert!(sort(&file, 0).unwrap());
    assert!(bytes(&file) == before);
}

#[test]
fn without_attributes_nothing_changes() {
    let file = tempfile::tempfile().unwrap();
    file.set_len(GRAIN).unwrap();
    put(&file, TABLE, NONE);
    assert!(sort(&file, 0).unwrap());
    assert_eq!(file.metadata().unwrap().len(), GRAIN);
}

#[test]
fn what_is_not_understood_stays_as_it_is() {
    let all = [one(0, b"b", b"a long value"), one(0, b"a", b"a long value")];
    let given = [in_order(&all, &[0, 1])];
    let whole = bytes(&file(&given, 0));
    let (table, header) = write(&given, START);
    let header = START + header;
    for (at, number) in [
        // Nothing is used; the table comes after the end, or before its own values.
        (BYTES_USED, 0),
        (TABLE, NONE - 1),
        (TABLE, START),
        (header, header + 1),
        (header, 0),
        // More lists than there are.
        (header + 8, 600),
        (header + 16, START - 1),
        (header + 16, NONE),
    ] {
        let file = file(&given, 0);
        put(&file, at, number);
        let before = bytes(&file);
        assert!(!sort(&file, 0).unwrap(), "{at} {number}");
        assert!(bytes(&file) == before, "{at} {number}");
    }
    // A block that is compressed.
    let file = file(&given, 0);
    file.write_all_at(&[0], START + 1).unwrap();
    assert!(!sort(&file, 0).unwrap());
    // Whatever is there, nothing breaks.
    for at in 0..table.len() as u64 {
        for byte in [0, 1, 0x7f, 0xff] {
            file.write_all_at(&whole, 0).unwrap();
            file.write_all_at(&[byte], START + at).unwrap();
            let _ = sort(&file, 0);
        }
    }
}
