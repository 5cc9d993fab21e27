//! Generic netlink: families of questions that have a name, and a number that the kernel gives them.

use std::io;

use super::netlink::{Netlink, Writer, attributes, damaged, u16_at};

/// Numbers of `linux/genetlink.h`.
const GENL_ID_CTRL: u16 = 0x10;
const CTRL_CMD_GETFAMILY: u8 = 3;
const CTRL_ATTR_FAMILY_ID: u16 = 1;
const CTRL_ATTR_FAMILY_NAME: u16 = 2;
/// Command, version and two bytes of nothing.
const GENERIC_HEADER_BYTES: usize = 4;

/// One family.
#[derive(Debug)]
pub(super) struct Family {
    netlink: Netlink,
    id: u16,
}

impl Family {
    /// Finds a family; `NotFound` if this kernel does not have it.
    pub(super) fn open(name: &str) -> io::Result<Self> {
        let mut netlink = Netlink::generic()?;
        let question = header(CTRL_CMD_GETFAMILY).text(CTRL_ATTR_FAMILY_NAME, name);
        let answer = netlink.ask(GENL_ID_CTRL, &question)?;
        let body = answer.first().ok_or_else(damaged)?.body.get(GENERIC_HEADER_BYTES..);
        let mut attributes = attributes(body.unwrap_or_default());
        let id = attributes.find(|(kind, _)| *kind == CTRL_ATTR_FAMILY_ID);
        let id = id.and_then(|(_, value)| u16_at(value, 0)).ok_or_else(damaged)?;
        Ok(Self { netlink, id })
    }

    /// Gives a command with these attributes; the attributes of the answer, empty if there is none.
    pub(super) fn ask(&mut self, command: u8, attributes: Writer) -> io::Result<Vec<u8>> {
        let question = header(command).append(attributes);
        let answer = self.netlink.ask(self.id, &question)?;
        let body = answer.into_iter().find(|message| message.kind == self.id);
        Ok(body.map_or_else(Vec::new, |message| {
            message.body.get(GENERIC_HEADER_BYTES..).unwrap_or_default().to_vec()
        }))
    }
}

fn header(command: u8) -> Writer {
    Writer::default().fixed(&[command, 1, 0, 0])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg_attr(miri, ignore = "asks the kernel")]
    fn a_family_that_no_kernel_has_is_not_found() {
        let error = Family::open("spanreel-none").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound, "{error}");
    }
}
