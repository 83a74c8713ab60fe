// What evaluate and predict share: a saved model and the images that it is run on.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include <perch/layers/model.h>
#include <perch/train/trainer.h>

#include "data_flags.h"
#include "flags.h"
#include "quantize_flags.h"

struct ModelRunFlags {
  std::string model;
  std::int64_t batch_size = perch::evaluation_batch_size;
  EvaluationDataFlags data;
  InputScaleFlag scale;
  QuantizeFlags quantize;
  ComputeFlags compute;

  void add_to(CLI::App& app);
};

/// The model and the images, scaled as in training unless the flags say otherwise.
struct ModelRun {
  std::unique_ptr<perch::Model> model;
  perch::Dataset data;
};
/// Throws Error as the parts do, among them Error(bad_data) when the images do not fit the model.
ModelRun open_run(const ModelRunFlags& flags);
