// The other file of the program in a.cpp.
#include <ctnn/ctnn.hpp>

const void* address_in_b();
int parts_in_b();

const void* address_in_b() { return &ctnn::version; }
int parts_in_b() { return CTNN_VERSION_MAJOR + CTNN_VERSION_MINOR + CTNN_VERSION_PATCH; }
