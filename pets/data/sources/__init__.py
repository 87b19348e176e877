"""Where images come from: a folder, a table, Oxford-IIIT Pet, the drawn demo set."""
