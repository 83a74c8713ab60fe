#include "data_flags.h"

#include <filesystem>
#include <system_error>

#include <CLI/CLI.hpp>

#include <perch/core/check.h>
#include <perch/datasets/cifar10.h>
#include <perch/datasets/npy.h>

#include "flags.h"

using namespace perch;
namespace fs = std::filesystem;

namespace {

// True when the pair is there, false when neither is.
bool check_pair(const char* images_flag, const std::string& images, const char* labels_flag,
                const std::string& labels) {
  PERCH_CHECK(images.empty() == labels.empty(), "{} needs {} beside it: a pair of .npy files",
              images.empty() ? labels_flag : images_flag,
              images.empty() ? images_flag : labels_flag);
  return !images.empty();
}

// The test batch of a folder, for which the training images need not be read; empty without one.
fs::path test_batch_in(const fs::path& folder) {
  std::error_code ignored;
  for (const char* inner : {"test_batch.bin", "cifar-10-batches-bin/test_batch.bin"}) {
    if (!folder.empty() && fs::is_regular_file(folder / inner, ignored)) return folder / inner;
  }
  return {};
}

}  // namespace

const char* scale_name(InputScale scale) {
  return scale == InputScale::raw ? "raw" : "unit";
}

InputScale scale_from_name(const std::string& name) {
  check_choice("--input-scale", name, {"unit", "raw"});
  return name == "raw" ? InputScale::raw : InputScale::unit;
}

void InputScaleFlag::add_to(CLI::App& app, const std::string& fallback) {
  app.add_option("--input-scale", name_,
                 "Feed 8-bit pixels as 0..1 (unit) or 0..255 (raw); " + fallback)
      ->type_name("unit|raw");
}

InputScale InputScaleFlag::value(InputScale otherwise) const {
  return name_.empty() ? otherwise : scale_from_name(name_);
}

Dataset InputScaleFlag::apply(const Dataset& data, InputScale otherwise) const {
  PERCH_CHECK(name_.empty() || data.pixels_scale(),
              "--input-scale has no effect on float images, which are fed as they are; leave it "
              "out");
  return data.with_input_scale(value(otherwise));
}

void TrainingDataFlags::add_to(CLI::App& app) {
  app.add_option("--data", data_,
                 "Folder with data_batch_*.bin and, if there is one, test_batch.bin; else "
                 "PERCH_DATA_DIR or the user's cache folder")
      ->type_name("DIR");
  app.add_option("--images", images_, "Own images instead of --data, [N, H, W, C]")
      ->type_name("FILE.npy");
  app.add_option("--labels", labels_, "Their labels, [N]")->type_name("FILE.npy");
  app.add_option("--test-images", test_images_, "Own test images")->type_name("FILE.npy");
  app.add_option("--test-labels", test_labels_, "Their labels")->type_name("FILE.npy");
}

TrainTest TrainingDataFlags::load() const {
  const bool own = check_pair("--images", images_, "--labels", labels_);
  const bool own_test = check_pair("--test-images", test_images_, "--test-labels", test_labels_);
  PERCH_CHECK(own || !own_test, "--test-images needs --images and --labels to train on");
  PERCH_CHECK(!own || data_.empty(), "--data and --images exclude each other; leave one out");
  if (!own) return datasets::cifar10(data_);
  TrainTest sets{.train = datasets::from_npy(images_, labels_), .test = {}};
  if (own_test) sets.test = datasets::from_npy(test_images_, test_labels_);
  return sets;
}

void EvaluationDataFlags::add_to(CLI::App& app) {
  app.add_option("--data", data_,
                 "Folder with batch files, or a file of 3,073-byte records; else PERCH_DATA_DIR "
                 "or the user's cache folder")
      ->type_name("DIR_OR_FILE");
  app.add_option("--split", split_, "Which part of a folder; default: its test batch if it has one")
      ->type_name("test|train");
  app.add_option("--images", images_, "Own images instead of --data, [N, H, W, C]")
      ->type_name("FILE.npy");
  app.add_option("--labels", labels_, "Their labels, [N]")->type_name("FILE.npy");
}

Dataset EvaluationDataFlags::load() const {
  if (!split_.empty()) check_choice("--split", split_, {"test", "train"});
  std::error_code ignored;
  const bool own = check_pair("--images", images_, "--labels", labels_);
  const bool file = fs::exists(data_, ignored) && !fs::is_directory(data_, ignored);
  PERCH_CHECK(!own || data_.empty(), "--data and --images exclude each other; leave one out");
  PERCH_CHECK(split_.empty() || !(own || file),
              "--split has no effect on a file; leave it out or give a folder with --data");
  if (own) return datasets::from_npy(images_, labels_);
  if (file) return datasets::cifar10_file(data_);
  if (const fs::path test = test_batch_in(data_); !test.empty() && split_ != "train") {
    return datasets::cifar10_file(test);
  }

  const TrainTest sets = datasets::cifar10(data_);
  if (split_ == "train") return sets.train;
  if (sets.test.size() > 0) return sets.test;
  if (split_ == "test") {
    fail(ErrorCode::missing_input, "no test_batch.bin in {}; use --split train",
         data_.empty() ? "the data folder" : data_);
  }
  return sets.train;
}

std::vector<std::string> EvaluationDataFlags::class_names() const {
  return images_.empty() ? datasets::cifar10_class_names() : std::vector<std::string>{};
}

void check_fits(const Model& model, const Dataset& data) {
  if (data.size() == 0) return;
  if (data.image_shape() != model.input_shape()) {
    fail(ErrorCode::bad_data, "the images are {}, the model takes {}; choose images of that shape",
         data.image_shape().to_string(), model.input_shape().to_string());
  }
  const std::int64_t classes = model.output_shape().size();
  for (std::int64_t i = 0; i < data.size(); ++i) {
    if (data.label(i) < 0 || data.label(i) >= classes) {
      fail(ErrorCode::bad_data,
           "image {} has the label {}, the model tells {} classes apart; labels go from 0 to {}", i,
           data.label(i), classes, classes - 1);
    }
  }
}
