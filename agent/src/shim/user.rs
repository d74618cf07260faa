//! The user that a child runs as.

use std::ffi::CString;
use std::io;
use std::path::PathBuf;

use nix::unistd::{Gid, Uid, User, geteuid, getgrouplist};

/// A user, looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RunAs {
    /// Number, group and supplementary groups to switch to; `None`: the process already has them.
    pub(crate) switch: Option<(Uid, Gid, Vec<Gid>)>,
    /// Home folder.
    pub(crate) home: PathBuf,
}

impl RunAs {
    /// Looks a user up by name; `None`: the process's own.
    ///
    /// # Errors
    /// `NotFound` for a name that the system does not know; `PermissionDenied` where another user is asked for and this
    /// process is not root.
    pub(crate) fn look_up(name: Option<&str>) -> io::Result<Self> {
        let own = geteuid();
        let Some(name) = name else {
            let home = User::from_uid(own)?.map_or_else(|| PathBuf::from("/"), |u| u.dir);
            return Ok(Self { switch: None, home });
        };
        let user = User::from_name(name)?
            .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("this host knows no user {name:?}")))?;
        if user.uid == own {
            return Ok(Self { switch: None, home: user.dir });
        }
        if !own.is_root() {
            let why =
                format!("the agent runs as user {own} and may not start anything as {name:?}; run it as root or as {name:?}");
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
        }
        let c_name = CString::new(name)?;
        let groups = getgrouplist(&c_name, user.gid)?;
        Ok(Self { switch: Some((user.uid, user.gid, groups)), home: user.dir })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_user_needs_no_switch_and_a_stranger_is_named() {
        let own = User::from_uid(geteuid()).unwrap().unwrap();
        assert_eq!(RunAs::look_up(Some(&own.name)).unwrap().switch, None);
        let unknown = RunAs::look_up(Some("no-such-user-here")).unwrap_err();
        assert_eq!(unknown.kind(), io::ErrorKind::NotFound);
        assert!(unknown.to_string().contains("no-such-user-here"));
    }
}
