use std::os::unix::fs::PermissionsExt;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, ReadBuf};

use super::*;

const LIMITS: Limits = Limits { budget: 64 << 20, keep_free: 0 };

struct Bench {
    folder: tempfile::TempDir,
    store: ArtifactStore,
}

async fn bench_with(limits: Limits) -> Bench {
    let folder = tempfile::tempdir().unwrap();
    let store = ArtifactStore::open(&folder.path().join("artifacts"), limits).await.unwrap();
    Bench { folder, store }
}

async fn bench() -> Bench {
    bench_with(LIMITS).await
}

impl Bench {
    fn in_tmp(&self) -> usize {
        std::fs::read_dir(self.store.tmp()).unwrap().count()
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        self.store.find(digest).unwrap().unwrap().0
    }

    fn used(&self) -> u64 {
        self.store.used.load(Ordering::SeqCst)
    }
}

/// A pack that is longer than two blocks and not a multiple of one.
fn pack(seed: u8) -> Vec<u8> {
    (0..BLOCK * 2 + 12_345).map(|i| u8::try_from(i % 251).unwrap() ^ seed).collect()
}

async fn read_all(open: &OpenArtifact, from: u64, max: usize) -> Vec<u8> {
    let mut all = Vec::new();
    loop {
        let chunk = open.chunk(from + all.len() as u64, max).await.unwrap();
        if chunk.bytes.is_empty() {
            return all;
        }
        assert_eq!(chunk.offset, from + all.len() as u64);
        all.extend(chunk.bytes);
    }
}

#[tokio::test]
async fn gives_back_what_was_put_from_any_offset_and_after_a_restart() {
    let bench = bench().await;
    let content = pack(0);
    let digest = Digest::of(&content);
    assert!(!bench.store.has(&digest).await.unwrap());
    let put = bench.store.put(content.as_slice(), Some(digest.clone())).await.unwrap();
    assert_eq!(put, (digest.clone(), content.len() as u64));
    let (empty, size) = bench.store.put(&[][..], None).await.unwrap();
    assert_eq!((empty.clone(), size), (Digest::of(b""), 0));

    let again = ArtifactStore::open(&bench.folder.path().join("artifacts"), LIMITS).await.unwrap();
    let open = again.open_artifact(&digest).await.unwrap();
    assert_eq!(open.size, content.len() as u64);
    assert_eq!(read_all(&open, 0, 200_000).await, content);
    assert_eq!(read_all(&open, 1_500_001, 65_536).await, content[1_500_001..]);
    for beyond in [open.size, open.size + 1, u64::MAX] {
        assert!(open.chunk(beyond, 10).await.unwrap().bytes.is_empty());
    }
    assert!(again.open_artifact(&empty).await.unwrap().chunk(0, 10).await.unwrap().bytes.is_empty());
    let listed = again.list().await.unwrap();
    assert!(listed.is_sorted() && listed.len() == 2 && listed.iter().any(|a| a.sha256 == digest));
    assert_eq!(again.used.load(Ordering::SeqCst), content.len() as u64);
    assert_eq!(std::fs::metadata(bench.path(&digest)).unwrap().permissions().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn a_wrong_digest_leaves_nothing() {
    let bench = bench().await;
    let content = pack(1);
    let expected = Digest::of(b"other");
    let refused = bench.store.put(content.as_slice(), Some(expected.clone())).await;
    assert!(matches!(refused, Err(ArtifactError::Digest { found, .. }) if found == Digest::of(&content)));
    assert!(bench.store.list().await.unwrap().is_empty());
    assert_eq!((bench.in_tmp(), bench.used()), (0, 0));
}

/// Gives some bytes, then fails or never answers again.
struct Broken {
    left: usize,
    hangs: bool,
}

impl AsyncRead for Broken {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.left == 0 {
            return if self.hangs { Poll::Pending } else { Poll::Ready(Err(io::Error::other("the cable"))) };
        }
        let n = buf.remaining().min(self.left);
        buf.put_slice(&vec![7; n]);
        self.left -= n;
        Poll::Ready(Ok(()))
    }
}

#[tokio::test]
async fn a_source_that_fails_or_is_abandoned_leaves_nothing() {
    let bench = bench().await;
    let left = BLOCK * 3 / 2;
    let failed = bench.store.put(Broken { left, hangs: false }, None).await;
    assert!(matches!(failed, Err(ArtifactError::Source(_))));
    assert_eq!((bench.in_tmp(), bench.used()), (0, 0));
    let mut put = Box::pin(bench.store.put(Broken { left, hangs: true }, None));
    while bench.used() < BLOCK as u64 {
        assert!(futures_util::poll!(&mut put).is_pending());
        tokio::task::yield_now().await;
    }
    // One more poll after the block was written: now the put waits for its source.
    while bench.in_tmp() == 0 {
        tokio::task::yield_now().await;
    }
    drop(put);
    while bench.used() > 0 || bench.in_tmp() > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn what_a_dead_process_left_is_thrown_away() {
    let bench = bench().await;
    std::fs::write(bench.store.tmp().join("in-left"), "half").unwrap();
    ArtifactStore::open(&bench.folder.path().join("artifacts"), LIMITS).await.unwrap();
    assert_eq!(bench.in_tmp(), 0);
}

#[tokio::test]
async fn concurrent_puts_of_the_same_content_agree() {
    let bench = bench().await;
    let content = pack(2);
    let mut puts = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let (store, content) = (bench.store.clone(), content.clone());
        puts.spawn(async move { store.put(content.as_slice(), None).await.unwrap() });
    }
    let digest = Digest::of(&content);
    while let Some(put) = puts.join_next().await {
        assert_eq!(put.unwrap(), (digest.clone(), content.len() as u64));
    }
    assert_eq!(bench.store.list().await.unwrap().len(), 1);
    assert_eq!((bench.in_tmp(), bench.used()), (0, content.len() as u64));
    bench.store.verify(&digest).await.unwrap();
}

#[tokio::test]
async fn a_cut_file_is_noticed_on_open_and_healed_by_a_put() {
    let bench = bench().await;
    let content = pack(3);
    let (digest, size) = bench.store.put(content.as_slice(), None).await.unwrap();
    let path = bench.path(&digest);
    std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(size - 1).unwrap();
    let refused = bench.store.open_artifact(&digest).await;
    let wanted = Damage::Size { put: size, found: size - 1 };
    assert!(matches!(refused, Err(ArtifactError::Damaged { damage, .. }) if damage == wanted));
    assert!(!bench.store.has(&digest).await.unwrap());
    bench.store.put(content.as_slice(), Some(digest.clone())).await.unwrap();
    let open = bench.store.open_artifact(&digest).await.unwrap();
    assert_eq!(read_all(&open, 0, BLOCK).await, content);
    assert_eq!(bench.used(), size);

    std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(10).unwrap();
    assert!(matches!(open.chunk(5, 100).await, Err(ArtifactError::Io { .. })), "cut while it is read");
}

#[tokio::test]
async fn a_flipped_bit_is_found_by_verify_and_set_aside() {
    let bench = bench().await;
    let (sound, _) = bench.store.put(pack(4).as_slice(), None).await.unwrap();
    let (digest, _) = bench.store.put(pack(5).as_slice(), None).await.unwrap();
    let path = bench.path(&digest);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[BLOCK + 1] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    assert!(bench.store.has(&digest).await.unwrap(), "its size is right");
    assert_eq!(bench.store.verify(&sound).await.unwrap().sha256, sound);
    let damaged = bench.store.verify(&digest).await.unwrap_err();
    assert!(matches!(&damaged, ArtifactError::Damaged { digest: d, damage: Damage::Content { .. } } if *d == digest));
    assert!(matches!(bench.store.open_artifact(&digest).await, Err(ArtifactError::Missing(_))));
    assert_eq!(std::fs::read(bench.store.damaged().join(digest.as_str())).unwrap(), bytes, "kept for the search of the cause");
    bench.store.put(pack(5).as_slice(), Some(digest.clone())).await.unwrap();
    bench.store.verify(&digest).await.unwrap();
}

#[tokio::test]
async fn a_link_in_place_of_a_file_is_not_followed() {
    let bench = bench().await;
    let (digest, size) = bench.store.put(pack(6).as_slice(), None).await.unwrap();
    let path = bench.path(&digest);
    let outside = bench.folder.path().join("outside");
    std::fs::rename(&path, &outside).unwrap();
    std::os::unix::fs::symlink(&outside, &path).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().len(), size);
    let refused = bench.store.open_artifact(&digest).await;
    assert!(matches!(refused, Err(ArtifactError::Damaged { damage: Damage::NoFile, .. })), "{refused:?}");
}

#[tokio::test]
async fn both_limits_refuse_and_keep_nothing() {
    let content = pack(7);
    let size = content.len() as u64;
    let bench = bench_with(Limits { budget: size + 10, keep_free: 0 }).await;
    let (first, _) = bench.store.put(content.as_slice(), None).await.unwrap();
    let refused = bench.store.put(pack(8).as_slice(), None).await;
    assert!(matches!(refused, Err(ArtifactError::NoRoom { limit: Limit::Budget { .. } })));
    assert_eq!((bench.in_tmp(), bench.used()), (0, size));
    bench.store.remove(&first).await.unwrap();
    assert!(matches!(bench.store.remove(&first).await, Err(ArtifactError::Missing(_))));
    bench.store.put(pack(8).as_slice(), None).await.unwrap();

    let bench = bench_with(Limits { budget: u64::MAX, keep_free: u64::MAX }).await;
    let refused = bench.store.put(content.as_slice(), None).await;
    assert!(matches!(refused, Err(ArtifactError::NoRoom { limit: Limit::KeepFree { .. } })));
    assert_eq!((bench.in_tmp(), bench.used()), (0, 0));
}

#[tokio::test]
async fn a_reader_outlives_the_removal_of_its_file() {
    let bench = bench().await;
    let content = pack(9);
    let (digest, _) = bench.store.put(content.as_slice(), None).await.unwrap();
    let open = bench.store.open_artifact(&digest).await.unwrap();
    bench.store.remove(&digest).await.unwrap();
    assert_eq!(read_all(&open, 0, 100_000).await, content);
}

#[test]
fn every_error_has_an_explained_code() {
    let digest = Digest::of(b"");
    let io = || io::Error::other("x");
    let all = [
        ArtifactError::Digest { expected: digest.clone(), found: digest.clone() },
        ArtifactError::Missing(digest.clone()),
        ArtifactError::Damaged { digest, damage: Damage::NoFile },
        ArtifactError::NoRoom { limit: Limit::Budget { budget: 1 } },
        ArtifactError::Source(io()),
        ArtifactError::Io { doing: "read", path: PathBuf::new(), source: io() },
    ];
    for error in all {
        assert!(cavalcade_common::codes::explain(error.fault().code).is_some(), "{error:?}");
    }
}
