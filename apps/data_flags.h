// The flags that say which images a command works on: --data, or pairs of .npy files.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <perch/datasets/dataset.h>
#include <perch/layers/model.h>

namespace CLI {
class App;
}

/// --input-scale: as given, or else what the caller remembers.
class InputScaleFlag {
 public:
  void add_to(CLI::App& app, const std::string& fallback);
  perch::InputScale value(perch::InputScale otherwise) const;
  /// Throws Error(usage) when the flag is given for images that it cannot scale.
  perch::Dataset apply(const perch::Dataset& data, perch::InputScale otherwise) const;

 private:
  std::string name_;
};

const char* scale_name(perch::InputScale scale);
perch::InputScale scale_from_name(const std::string& name);

/// A folder of batch files, or --images and --labels with --test-images and --test-labels.
class TrainingDataFlags {
 public:
  void add_to(CLI::App& app);
  /// The test set is empty when there is none.
  perch::TrainTest load() const;

 private:
  std::string data_, images_, labels_, test_images_, test_labels_;
};

/// A folder of batch files with --split, a file of records, or --images and --labels.
class EvaluationDataFlags {
 public:
  void add_to(CLI::App& app);
  perch::Dataset load() const;
  /// Of the classes, where the data has such: CIFAR-10's.
  std::vector<std::string> class_names() const;

 private:
  std::string data_, images_, labels_, split_;
};

/// Throws Error(bad_data) unless the images have the model's input shape and every label is one of
/// its outputs.
void check_fits(const perch::Model& model, const perch::Dataset& data);
