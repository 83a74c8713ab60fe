#include "start_files.h"

#include <set>
#include <system_error>

#include <fmt/format.h>

#include <perch/core/check.h>
#include <perch/io/keras.h>
#include <perch/layers/state.h>

#include "data_flags.h"
#include "file_digest.h"
#include "model_file.h"

using namespace perch;
using namespace perch::experiments;
namespace fs = std::filesystem;

namespace {

/// What the experiment feeds its networks with.
std::set<std::string> input_scales(const Experiment& experiment) {
  const std::vector<std::string> said = values_of(experiment, "input_scale");
  if (said.empty()) return {scale_name(InputScale::unit)};
  return {said.begin(), said.end()};
}

void take_weights(Model& model, Model& network, const fs::path& file) {
  if (file.extension() != ".safetensors") return io::load_weights(network, file);
  try {
    copy_state(model, network);
  } catch (const Error& error) {
    fail(ErrorCode::bad_data, "{}: {}", file.string(), error.what());
  }
}

}  // namespace

StartFiles::StartFiles(const Experiment& experiment) {
  const std::string* const pattern = start_file_of(experiment);
  if (pattern == nullptr) return;
  constexpr std::string_view placeholder = "{seed}";
  one_for_all_ = pattern->find(placeholder) == std::string::npos;
  for (const std::int64_t seed : experiment.seeds) {
    const std::string number = std::to_string(seed);
    std::string file = *pattern;
    for (std::size_t at = file.find(placeholder); at != std::string::npos;
         at = file.find(placeholder, at + number.size())) {
      file.replace(at, placeholder.size(), number);
    }
    std::error_code ignored;
    if (!fs::is_regular_file(file, ignored)) {
      fail(ErrorCode::missing_input,
           "the float start {} is not there; train it (perch train --quantizer none), or give "
           "another file",
           file);
    }
    files_[seed] = {file, file_digest(file)};
  }
}

std::string StartFiles::name(std::int64_t seed) const {
  return one_for_all_ ? "given" : fmt::format("s{}", seed);
}

void StartFiles::check_fit(const Experiment& experiment,
                           const std::vector<std::unique_ptr<Model>>& networks) const {
  std::set<std::string> seen;
  for (const auto& [seed, file] : files_) {
    if (!seen.insert(file.path.string()).second) continue;
    const auto model = open_float_model(file.path.string());
    for (const auto& network : networks) take_weights(*model, *network, file.path);
    const std::string remembered = scale_name(remembered_scale(file.path.string()));
    for (const std::string& scale : input_scales(experiment)) {
      PERCH_CHECK(scale == remembered,
                  "{} was trained on {} pixels, the cells take {} ones; set input_scale = \"{}\"",
                  file.path.string(), remembered, scale, remembered);
    }
  }
}
