// Names of tensors that would be cut.
// EXPECT: Linear: names of its tensors
// EXPECT: have more than 64 characters;
// EXPECT: shorten the names of blocks
#include <ctnn/models/small_alexnet.hpp>

using namespace ctnn;

struct Bad : Sequential<Input<3, 8, 8>, Flatten,
                        Block<"a_name_of_29_characters_or_so", Block<"and_another_one_of_28_letters", Linear<10>>>> {};
