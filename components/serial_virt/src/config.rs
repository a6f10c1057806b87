// SPDX-License-Identifier: BSD-2-Clause
//! The PD's configuration: a page of text that the system description fills, one `name=value` a line.

/// The value of `name` in `text`; the first one if there are several.
pub fn value<'a>(text: &'a [u8], name: &str) -> Option<&'a str> {
    text.split(|byte| *byte == b'\n').find_map(|line| {
        let value = line.strip_prefix(name.as_bytes())?.strip_prefix(b"=")?;
        core::str::from_utf8(value).ok().map(str::trim)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn value_is_found_by_its_whole_name() {
        let text = b"client0=vmm_0\nclient1=vmm_1\n\0\0";
        assert_eq!(value(text, "client1"), Some("vmm_1"));
        assert_eq!(value(text, "client"), None);
        assert_eq!(value(text, "client10"), None);
    }

    #[test]
    fn text_that_is_not_utf8_is_no_value() {
        assert_eq!(value(b"client0=\xff\n", "client0"), None);
        assert_eq!(value(b"", "client0"), None);
    }
}
