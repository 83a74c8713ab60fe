// A model file as commands open it.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>

#include <perch/datasets/dataset.h>
#include <perch/layers/model.h>
#include <perch/train/loss.h>

#include "quantize_flags.h"

/// Throws as io::load_keras does; Error(usage) for quantizer flags although the file itself says
/// how it is quantized.
std::unique_ptr<perch::Model> open_model(const std::string& file, const QuantizeFlags& quantize);

/// Writes it, and warns where that is a file for Keras which TensorFlow cannot compute. Throws what
/// io::save_model() throws.
void save_model(perch::Model& model, const std::filesystem::path& file,
                const std::map<std::string, std::string>& metadata);

/// A model without quantizers. Throws as io::load_model does; Error(usage) where there are some.
std::unique_ptr<perch::Model> open_float_model(const std::string& file);

/// How the images were scaled that the model was trained on; unit for a file that does not say.
perch::InputScale remembered_scale(const std::string& file);
/// What a file remembers it by.
std::map<std::string, std::string> remember_scale(perch::InputScale scale);

/// True when the model puts out probabilities.
bool ends_in_softmax(const perch::Model& model);

/// Cross-entropy of the model's output, probabilities or logits.
perch::Loss loss_for(const perch::Model& model);
