// What a report says of the classes.
#pragma once

#include <string>

#include "report.hpp"

namespace alexnet {

/// Confusion matrix and recalls: a table of numbers, or of more than 20 classes a picture and the most frequent
/// mistakes.
void add_classes(std::string& out, const Examination& test);

/// The pictures of the most confident mistakes.
void add_mistakes(std::string& out, const Examination& test);

}  // namespace alexnet
