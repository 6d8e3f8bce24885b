# The block of network identities that src/policy/identity.rs cuts into ranges, one for each user.
rec {
  blockStart = 1919090688; # 0x72630000
  length = 1024;
  usersMax = 1024;

  # The first identity of the user at this place, from 0, in the list of users.
  start = position: blockStart + position * length;
}
