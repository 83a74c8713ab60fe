// An optimizer's state as Keras saves it. Internal to io.
#pragma once

#include <perch/io/hdf5_writer.h>
#include <perch/layers/model.h>
#include <perch/optim/optimizer.h>

namespace perch::io {

/// The attribute training_config and the group optimizer_weights. An optimizer that Keras does not
/// know is left out. The loss is written as the cross-entropy of integer labels, from logits.
void write_optimizer(H5Writer& root, const Optimizer& optimizer, Model& model);

}  // namespace perch::io
