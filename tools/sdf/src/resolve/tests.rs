// SPDX-License-Identifier: BSD-2-Clause
//! The resolver's edits, its generated files, and messages placed in the original.

use super::{Resolved, Variables, resolve};
use crate::{Diagnostic, Platform};
use board::Board;

fn board() -> Board {
    Board::parse("board.toml", include_str!("../../../../kernel-config/qemu_virt_aarch64.toml")).unwrap()
}

fn resolved(text: &str, variables: &[(&str, &str)]) -> Result<Resolved, Vec<Diagnostic>> {
    let variables: Variables = variables.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    resolve("a.xml", text, &board(), &variables)
}

fn plain(text: &str, variables: &[(&str, &str)]) -> String {
    let text = resolved(text, variables).unwrap().text;
    text.strip_suffix("<!-- Made from a.xml for qemu_virt_aarch64. -->\n").unwrap().to_owned()
}

#[test]
fn device_becomes_address_and_size() {
    assert_eq!(
        plain("<system><memory_region name='u' device='pl011'/></system>", &[]),
        "<system><memory_region name='u' phys_addr=\"0x9000000\" size=\"0x1000\"/></system>"
    );
}

#[test]
fn device_name_can_come_from_a_variable() {
    let text = "<system><irq device=\"${UART:-pl031}\" id='1'/></system>";
    assert_eq!(plain(text, &[]), "<system><irq irq=\"34\" trigger=\"level\" id='1'/></system>");
    assert_eq!(
        plain(text, &[("UART", "pl011")]),
        "<system><irq irq=\"33\" trigger=\"level\" id='1'/></system>"
    );
}

#[test]
fn values_are_escaped() {
    assert_eq!(
        plain("<system a=\"${A}\" b='x$$y'/>", &[("A", "\"<&'>\n")]),
        "<system a=\"&quot;&lt;&amp;&apos;>&#10;\" b='x$y'/>"
    );
}

#[test]
fn when_drops_the_element_with_all_that_is_in_it_and_keeps_rows() {
    let text = "<system>\n<a when='${A:-}'\n device='none'>${}\n<b c='${B}'/></a>\n<d/></system>";
    assert_eq!(plain(text, &[]), "<system>\n\n\n\n<d/></system>");
    assert_eq!(
        plain("<system><a  when='${A:-}' b='1'/></system>", &[("A", "yes")]),
        "<system><a b='1'/></system>"
    );
    for value in ["0", "no", "false", ""] {
        assert_eq!(plain("<system><a when='${A}'/></system>", &[("A", value)]), "<system></system>");
    }
}

#[test]
fn counted_vcpus_keep_their_other_attributes() {
    assert_eq!(
        plain("<system><vcpu cpu='${C:-1}' id='4' count='${N:-2}'/></system>", &[]),
        "<system><vcpu id=\"4\" cpu=\"1\" /><vcpu id=\"5\" cpu=\"1\" /></system>"
    );
}

#[test]
fn config_becomes_a_prefilled_region() {
    let text = "<system>\n<protection_domain name='a'><protection_domain name='b' id='1'>\
                <config vaddr='1M' setvar_vaddr='c'>\n<entry name='z' value='${Z}'/>\n<entry name='a' value=''/></config>\
                </protection_domain></protection_domain></system>";
    let resolved = resolved(text, &[("Z", "1 2")]).unwrap();
    let expected = "<system>\n<memory_region name=\"b_config\" prefill_path=\"b_config.txt\" />\n\
                    <protection_domain name='a'><protection_domain name='b' id='1'>\
                    <map mr=\"b_config\" vaddr=\"0x100000\" setvar_vaddr=\"c\" perms=\"r\" />\n\n\
                    </protection_domain></protection_domain></system>";
    assert!(resolved.text.starts_with(expected), "{}", resolved.text);
    assert_eq!(resolved.files.len(), 1);
    assert_eq!(resolved.files[0].name, "b_config.txt");
    assert_eq!(resolved.files[0].content, "a=\nz=1 2\n");
}

#[test]
fn messages_about_resolved_text_are_placed_in_the_original() {
    let text = "<system>\n  <memory_region name='u' device='pl011' colour='red'/>\n  <protection_domain name='p'>\n\
                    <program_image path='p'/><map mr='u' vaddr='4K' cached='false' perms='q'/>\n\
                    <virtual_machine name='v'><vcpu id='0' count='3'/><vcpu id='2'/></virtual_machine>\n\
                  </protection_domain>\n</system>";
    let errors = resolved(text, &[]).unwrap().parse(&Platform::from_board(&board()), &[]).unwrap_err();
    let places: Vec<String> =
        errors.iter().map(|error| error.to_string().lines().next().unwrap().to_owned()).collect();
    assert_eq!(
        places,
        [
            "a.xml:2:42: error: invalid attribute 'colour' on element 'memory_region'",
            "a.xml:4:64: error: perms must only be a combination of 'r', 'w', and 'x' on element 'map'",
            "a.xml:5:51: error: duplicate vcpu id 2 in virtual machine 'v'",
        ]
    );
}

#[test]
fn everything_wrong_is_reported_at_once_in_file_order() {
    let text = "<system>\n<memory_region device='x' size='1K'/>\n<irq device='pl011' index='7'/>\n<a b='$'/></system>";
    let errors = resolved(text, &[]).unwrap_err();
    let places: Vec<String> = errors.iter().map(|error| error.pos.to_string()).collect();
    assert_eq!(places, ["2:16", "2:27", "3:21", "4:4"]);
}

#[test]
fn source_names_cannot_end_the_comment() {
    let text = resolve("a--><x", "<system/>", &board(), &Variables::new()).unwrap().text;
    assert!(roxmltree::Document::parse(&text).is_ok(), "{text}");
}
