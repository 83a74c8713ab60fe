// The report's sections, a source for each kind, and what they share. For sources of this room.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <perch/experiments/findings.h>
#include <perch/experiments/results.h>

namespace perch::experiments {

// Sections with their headings; empty where there is nothing to tell.

/// Accuracy by bits, or by the question's axis.
std::string accuracy_section(const Results& results, const Findings& findings);
/// Accuracy, clipped and oscillating weights by epoch.
std::string course_sections(const Results& results, const Findings& findings);
/// Of each quantized kernel its channels' ranges, and its weights with the levels.
std::string kernel_sections(const Results& results);
/// What each layer loses, and which ones clip.
std::string layer_section(const Results& results);
/// Pairs of cells.
std::string contrast_section(const Results& results, const Findings& findings);
/// All cells, with links to their folders.
std::string cell_section(const Results& results);

/// Those with more than one value.
std::vector<std::string> varied_axes(const Experiment& experiment);
/// None where it has one value.
const Axis* axis_of(const Experiment& experiment, const std::string& name);
/// The settings of the given axes.
Settings part(const Settings& settings, const std::vector<std::string>& names);
/// Distinct values of some axes, in the order in which groups have them.
std::vector<Settings> distinct(const Findings& findings, const std::vector<std::string>& names);
std::string title_of(const Settings& settings, const std::string& otherwise);
/// Empty for none.
std::string in_words(const std::optional<double>& value, const char* format);

struct Drawn {
  std::string figure;
  bool folded = false;  ///< behind the others, where it is unfolded
};
/// Figures side by side; those after the first few open ones fold too, and there is an end to them.
std::string gallery(const std::vector<Drawn>& figures);

}  // namespace perch::experiments
