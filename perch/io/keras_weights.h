// Weights in Keras's HDF5 layout and a model's state: writing, and matching them up again.
#pragma once

#include <map>
#include <string>
#include <vector>

#include <perch/io/hdf5_reader.h>
#include <perch/io/hdf5_writer.h>
#include <perch/layers/model.h>

namespace perch::io {

/// A weight listed in a layer's group: "conv2d/kernel:0".
struct FileWeight {
  std::string path;  ///< as listed, relative to the layer's group
  std::string leaf;  ///< last path component without ":0": "kernel"
};

struct FileLayer {
  std::string name;
  H5Group group;
  std::vector<FileWeight> weights;

  /// The index-th weight of that leaf; null when there is none.
  const FileWeight* find(const std::string& leaf, std::size_t index = 0) const;
  /// The weights by "conv2d/kernel", the last two parts of their paths. Without those that share a
  /// name or have a path of one part.
  std::map<std::string, const FileWeight*> by_name() const;
  /// Of a model's group: what each layer in the model has, by the layer's name.
  std::map<std::string, FileLayer> by_owner() const;
  H5Dataset dataset(const FileWeight& weight) const { return group.dataset(weight.path); }
};

/// The layers of a file that save() or save_weights() wrote, in the file's order. Throws
/// Error(bad_data) when there are none.
std::vector<FileLayer> read_layers(const H5Group& root);
/// Whether some variable is a quantizer's.
bool has_quantizer_state(const H5Group& root);

/// The attributes backend and keras_version.
void write_versions(H5Writer& group);
/// One group for each name in `layer_names` with what state_of(model) says of it.
void write_layers(H5Writer& parent, Model& model, const std::vector<std::string>& layer_names);

/// Copies the file's values into a built model: layer by layer in Keras's order, within a layer by
/// the last path component. When only one side has quantizer state, that is left alone. Throws
/// Error(bad_data) naming the first layer that does not fit; nothing is changed then.
void restore_layers(Model& model, std::vector<FileLayer> stored, const std::string& file);

}  // namespace perch::io
