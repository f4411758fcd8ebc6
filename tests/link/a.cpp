// One of two files that include all of ctnn: the linker finds whatever a header defines twice.
#include <ctnn/ctnn.hpp>

const void* address_in_b();
int parts_in_b();

int main() {
    const auto [major, minor, patch] = ctnn::version;
    const bool same_object = &ctnn::version == address_in_b();
    return same_object && major + minor + patch == parts_in_b() ? 0 : 1;
}
