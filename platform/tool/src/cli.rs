// SPDX-License-Identifier: BSD-2-Clause
//! The command line, that of Microkit 2.3.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

/// Format of the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ImageType {
    /// Raw bytes, to be loaded at the board's address and entered at the first.
    Binary,
    /// One ELF segment.
    Elf,
    /// U-Boot image (RISC-V only).
    Uimage,
}

/// Builds a bootable image from a system description.
#[derive(Clone, Debug, Parser)]
#[command(name = "microkit", version, args_override_self = true)]
pub struct Arguments {
    /// Image to write
    #[arg(short, long, value_name = "OUTPUT", default_value = "loader.img")]
    pub output: PathBuf,
    /// Report to write
    #[arg(short, long, value_name = "REPORT", default_value = "report.txt")]
    pub report: PathBuf,
    /// Format of the image
    #[arg(long, value_name = "TYPE", default_value = "binary")]
    pub image_type: ImageType,
    /// Kernel to use instead of the SDK's
    #[arg(long, value_name = "ELF")]
    pub override_kernel: Option<PathBuf>,
    /// Board, one of the SDK's
    #[arg(long)]
    pub board: String,
    /// Configuration, one of the board's
    #[arg(long)]
    pub config: String,
    /// Write the description of the system as JSON
    #[arg(long, value_name = "FILE")]
    pub capdl_json: Option<PathBuf>,
    /// Write a Viper file for each protection domain into this folder
    #[arg(long, value_name = "DIR")]
    pub viper_output: Option<PathBuf>,
    /// Folders to look for programs and prefill files in, before the current one
    #[arg(long, value_name = "PATH", num_args = 0..)]
    pub search_path: Vec<PathBuf>,
    /// System description
    pub system: PathBuf,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn search_path_takes_everything_up_to_the_next_option() {
        let line = "microkit s.system --search-path a b --board x --config y --search-path c";
        let arguments = Arguments::try_parse_from(line.split(' ')).unwrap();
        assert_eq!(arguments.search_path, ["a", "b", "c"].map(PathBuf::from));
        assert_eq!(arguments.system, PathBuf::from("s.system"));
        assert_eq!(arguments.output, PathBuf::from("loader.img"));
        assert_eq!(arguments.report, PathBuf::from("report.txt"));
        assert_eq!(arguments.image_type, ImageType::Binary);
    }

    /// Build systems put options of their own behind what they were given, and may have no folder to name.
    #[test]
    fn an_option_given_again_counts_and_search_path_may_be_empty() {
        let line = "microkit --board x --board z -o a --config y s.system -o b --search-path";
        let arguments = Arguments::try_parse_from(line.split(' ')).unwrap();
        assert_eq!((arguments.board.as_str(), arguments.output), ("z", PathBuf::from("b")));
        assert!(arguments.search_path.is_empty());
    }

    #[test]
    fn board_and_config_are_required() {
        assert!(Arguments::try_parse_from(["microkit", "s.system", "--board", "x"]).is_err());
        assert!(Arguments::try_parse_from(["microkit", "s.system", "--config", "x"]).is_err());
    }
}
