# An image for container engines in which the agent finds what a coding agent uses.
{
  lib,
  dockerTools,
  buildEnv,
  agent,
  bashInteractive,
  cacert,
  coreutils,
  curl,
  diffutils,
  findutils,
  gawk,
  git,
  gnugrep,
  gnused,
  gnutar,
  gzip,
  jq,
  less,
  patch,
  procps,
  python3,
  ripgrep,
  which,
}:
dockerTools.buildLayeredImage {
  name = "rcc-claude";
  tag = agent.version;
  contents = [
    dockerTools.binSh
    dockerTools.caCertificates
    dockerTools.fakeNss
    dockerTools.usrBinEnv
    (buildEnv {
      name = "rcc-claude-programs";
      pathsToLink = [ "/bin" ];
      paths = [
        agent
        bashInteractive
        coreutils
        curl
        diffutils
        findutils
        gawk
        git
        gnugrep
        gnused
        gnutar
        gzip
        jq
        less
        patch
        procps
        python3
        ripgrep
        which
      ];
    })
  ];
  # Whatever uid the engine gives the agent: it writes here and in its mounts alone.
  extraCommands = ''
    mkdir -m 1777 tmp
  '';
  config = {
    Cmd = [ (lib.getExe agent) ];
    Env = [
      "DISABLE_AUTOUPDATER=1"
      "PATH=/bin"
      "SSL_CERT_FILE=${cacert}/etc/ssl/certs/ca-bundle.crt"
    ];
  };
}
