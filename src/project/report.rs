//! What a run changed of the things that the host later executes or loads.
