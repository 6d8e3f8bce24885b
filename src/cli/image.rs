//! What `rcc image` takes.

use crate::image::engine::EngineKind;
use crate::image::package::Package;
use crate::runtime::Image;
use clap::Subcommand;

/// Build, list, pull and remove images of container engines.
#[derive(Debug, Subcommand)]
pub enum ImageCommand {
    /// Build an image with what coding agents use: git, ripgrep, python3, curl and the like
    Build(BuildArguments),
    /// List the images that the engine has
    List(ListArguments),
    /// Pull an image, and tell the digest to pin it by
    Pull(PullArguments),
    /// Remove images that rcc has built for you and that nothing needs any more
    Prune(PruneArguments),
}

/// Which engine has the images.
#[derive(Debug, clap::Args)]
pub struct EngineArguments {
    /// The engine [default: that of `runtime` in your configuration, else Podman where it is installed]
    #[arg(long, value_enum, value_name = "ENGINE")]
    pub(super) engine: Option<EngineKind>,
}

/// What an image is built from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Origin {
    /// The packages of this machine's distribution, without a registry: on Debian and Ubuntu, by mmdebstrap.
    Host,
    /// A base image from a registry, by the engine, with the Containerfile that rcc has.
    Containerfile,
}

/// `rcc image build`.
#[derive(Debug, clap::Args)]
pub struct BuildArguments {
    #[command(flatten)]
    pub(super) engine: EngineArguments,
    /// What it is built from [default: `host` where that is possible and no `--base` is given, else `containerfile`]
    #[arg(long, value_enum, value_name = "ORIGIN")]
    pub(super) from: Option<Origin>,
    /// The base image of `containerfile`: Debian or Ubuntu, best with a digest (`NAME@sha256:...`). Its own programs run
    /// while it is built, in the engine's network, where no rule of rcc's holds
    /// [default: docker.io/library/debian:stable-slim]
    #[arg(long, value_name = "IMAGE")]
    pub(super) base: Option<Image>,
    /// One more package of the distribution, as often as you like
    #[arg(long, value_name = "PACKAGE")]
    pub(super) with: Vec<Package>,
    /// Write the image's digest into your configuration, as `image`
    #[arg(long)]
    pub(super) pin: bool,
    /// Show no progress, and print the image's id alone
    #[arg(long, short)]
    pub(super) quiet: bool,
    /// The image's name [default: localhost/rcc and this version]
    #[arg(value_name = "NAME")]
    pub(super) name: Option<Image>,
}

/// `rcc image list`.
#[derive(Debug, clap::Args)]
pub struct ListArguments {
    #[command(flatten)]
    pub(super) engine: EngineArguments,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// `rcc image pull`.
#[derive(Debug, clap::Args)]
pub struct PullArguments {
    #[command(flatten)]
    pub(super) engine: EngineArguments,
    /// Write the image's digest into your configuration, as `image`
    #[arg(long)]
    pub(super) pin: bool,
    /// Show no progress, and print the image's id alone
    #[arg(long, short)]
    pub(super) quiet: bool,
    /// The image's name; with a digest (`NAME@sha256:...`) it is that very one
    #[arg(value_name = "NAME")]
    pub(super) image: Image,
}

/// `rcc image prune`.
#[derive(Debug, clap::Args)]
pub struct PruneArguments {
    #[command(flatten)]
    pub(super) engine: EngineArguments,
    /// Tell what would be removed, and remove nothing
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}
