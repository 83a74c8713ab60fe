#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include <perch/core/check.h>
#include <perch/io/keras_order.h>
#include <perch/io/keras_weights.h>

namespace perch::io {

namespace {

std::string leaf_of(const std::string& path) {
  const std::string last = path.substr(path.rfind('/') + 1);
  return last.substr(0, last.find(':'));
}

// "sequential/conv2d/kernel:0" -> "conv2d/kernel"
std::string name_of(const std::string& path) {
  const std::size_t last = path.rfind('/');
  if (last == std::string::npos || last == 0) return "";
  const std::size_t owner = path.rfind('/', last - 1);
  const std::string name = path.substr(owner == std::string::npos ? 0 : owner + 1);
  return name.substr(0, name.find(':'));
}

// No layer of Keras has weights of such names; wrappers call all of a quantizer's state after what
// it quantizes: kernel_max, kernel_scale, post_activation_updates.
bool is_quantizer_state(const std::string& leaf) {
  static const std::vector<std::string> quantized{
      "kernel_", "depthwise_kernel_", "bias_", "pre_activation_", "post_activation_", "output_"};
  return leaf == "optimizer_step" || leaf.ends_with("_min") || leaf.ends_with("_max") ||
         leaf.starts_with("quantize_layer") ||
         std::ranges::any_of(quantized,
                             [&](const std::string& prefix) { return leaf.starts_with(prefix); });
}

struct ModelLayer {
  std::string name;
  std::vector<StateEntry> entries;
};

std::vector<ModelLayer> layers_of(Model& model) {
  std::vector<ModelLayer> layers;
  for (StateEntry& entry : keras_state(model)) {
    if (layers.empty() || layers.back().name != entry.layer) layers.push_back({entry.layer, {}});
    layers.back().entries.push_back(std::move(entry));
  }
  return layers;
}

bool has_quantizer_state(const std::vector<ModelLayer>& layers) {
  return std::ranges::any_of(layers, [](const ModelLayer& layer) {
    return std::ranges::any_of(layer.entries, [](const StateEntry& entry) {
      return is_quantizer_state(leaf_of(entry.name));
    });
  });
}

bool has_quantizer_state(const std::vector<FileLayer>& layers) {
  return std::ranges::any_of(layers, [](const FileLayer& layer) {
    return std::ranges::any_of(
        layer.weights, [](const FileWeight& weight) { return is_quantizer_state(weight.leaf); });
  });
}

template <class Layer, class Items, class Leaf>
std::vector<Layer> without_quantizer_state(std::vector<Layer> layers, Items items, Leaf leaf) {
  for (Layer& layer : layers) {
    std::erase_if(layer.*items, [&](const auto& item) { return is_quantizer_state(leaf(item)); });
  }
  return layers;
}

std::string listed(const std::vector<StateEntry>& entries) {
  std::string text;
  for (const StateEntry& entry : entries) text += (text.empty() ? "" : ", ") + leaf_of(entry.name);
  return text.empty() ? "nothing" : text;
}

std::string listed(const std::vector<FileWeight>& weights) {
  std::string text;
  for (const FileWeight& weight : weights) text += (text.empty() ? "" : ", ") + weight.leaf;
  return text.empty() ? "nothing" : text;
}

// A value read, and where it goes once everything has been read.
struct Restored {
  StateEntry entry;
  Tensor values;
  std::int32_t count = 0;
};

Restored read_entry(const StateEntry& entry, const H5Dataset& dataset) {
  Restored restored{entry, {}, 0};
  if (entry.counter != nullptr) {
    restored.count = static_cast<std::int32_t>(dataset.read_integer());
  } else {
    restored.values = dataset.read_floats();
  }
  return restored;
}

// tfmot calls the ranges of a QuantizeLayer after the layer: quantize_layer_1/quantize_layer_1_min.
std::string stored_leaf(const StateEntry& entry, const FileLayer& stored) {
  const std::string leaf = leaf_of(entry.name), part = "quantize_layer";
  if (!entry.of_part || !leaf.starts_with(part) || stored.find(leaf) != nullptr) return leaf;
  const std::string end = leaf.substr(part.size());
  const auto found = std::ranges::find_if(
      stored.weights, [&](const FileWeight& weight) { return weight.leaf.ends_with(end); });
  return found == stored.weights.end() ? leaf : found->leaf;
}

// Variables of the model and what the file has for them.
using Pairs = std::vector<std::pair<StateEntry, H5Dataset>>;

void check_shapes(const Pairs& pairs, const std::string& file) {
  constexpr std::size_t told = 4;
  std::vector<std::string> misfits;
  bool range = false;
  for (const auto& [entry, dataset] : pairs) {
    if (dataset.shape() == entry.shape()) continue;
    range = range || is_quantizer_state(leaf_of(entry.name));
    misfits.push_back(fmt::format("{} has the shape {}, but {} in the model has {}", dataset.path(),
                                  dataset.shape().to_string(), entry.name,
                                  entry.shape().to_string()));
  }
  if (misfits.empty()) return;
  const std::size_t more = misfits.size() - std::min(misfits.size(), told);
  misfits.resize(misfits.size() - more);
  fail(ErrorCode::bad_data, "{}: {}{}{}", file, fmt::join(misfits, "; "),
       more > 0 ? fmt::format("; and {} more", more) : "",
       range ? "; choose --per-tensor or --per-channel (the granularity of the configuration) as "
               "the file was trained"
             : "");
}

void pair_layer(const ModelLayer& model, const FileLayer& stored, const std::string& file,
                Pairs& result) {
  const auto mismatch = [&] {
    check_shapes(result, file);  // of the layers before, where it may have begun
    fail(ErrorCode::bad_data,
         "{}: layer {} does not fit the model's {}: the file has {}, the model {}; was it written "
         "by another architecture or quantization?",
         file, stored.name, model.name, listed(stored.weights), listed(model.entries));
  };
  if (model.entries.size() != stored.weights.size()) mismatch();
  // Of layers in a model the names tell more than the order, which depends on what was frozen when
  // the file was written.
  const auto by_name = stored.by_name();
  const bool named = std::ranges::all_of(
      model.entries, [&](const StateEntry& entry) { return by_name.contains(entry.name); });
  std::map<std::string, std::size_t> seen;
  for (const StateEntry& entry : model.entries) {
    const FileWeight* weight = nullptr;
    if (named) {
      weight = by_name.at(entry.name);
    } else {
      const std::string leaf = stored_leaf(entry, stored);
      weight = stored.find(leaf, seen[leaf]++);
    }
    if (weight == nullptr) mismatch();
    result.emplace_back(entry, stored.dataset(*weight));
  }
}

void commit(std::vector<Restored>& values) {
  for (Restored& value : values) {
    if (value.entry.weight != nullptr) {
      value.entry.weight->mutable_value().copy_from(value.values);
    } else if (value.entry.buffer != nullptr) {
      value.entry.buffer->copy_from(value.values);
    } else {
      *value.entry.counter = value.count;
    }
  }
}

}  // namespace

const FileWeight* FileLayer::find(const std::string& leaf, std::size_t index) const {
  for (const FileWeight& weight : weights) {
    if (weight.leaf == leaf && index-- == 0) return &weight;
  }
  return nullptr;
}

std::map<std::string, const FileWeight*> FileLayer::by_name() const {
  std::map<std::string, const FileWeight*> found;
  std::set<std::string> shared{""};
  for (const FileWeight& weight : weights) {
    const std::string full = name_of(weight.path);
    if (!found.emplace(full, &weight).second) shared.insert(full);
  }
  for (const std::string& full : shared) found.erase(full);
  return found;
}

std::map<std::string, FileLayer> FileLayer::by_owner() const {
  std::map<std::string, FileLayer> found;
  for (const FileWeight& weight : weights) {
    const std::string full = name_of(weight.path);
    FileLayer& layer = found[full.substr(0, full.rfind('/'))];
    layer.group = group;
    layer.weights.push_back(weight);
  }
  return found;
}

std::vector<FileLayer> read_layers(const H5Group& root) {
  std::vector<FileLayer> layers;
  const bool whole_model = root.has("model_weights");
  const auto read_from = [&](const H5Group& parent) {
    for (const std::string& name : parent.texts("layer_names")) {
      FileLayer layer{name, parent.group(name), {}};
      for (const std::string& path : layer.group.texts("weight_names")) {
        layer.weights.push_back({path, leaf_of(path)});
      }
      layers.push_back(std::move(layer));
    }
  };
  if (whole_model) {
    read_from(root.group("model_weights"));
  } else if (root.has_attribute("layer_names") || root.has_attribute("layer_names0")) {
    read_from(root);
  } else {
    fail(ErrorCode::bad_data,
         "{}: holds no Keras weights (neither a group model_weights nor an attribute layer_names)",
         root.file());
  }
  return layers;
}

bool has_quantizer_state(const H5Group& root) {
  return has_quantizer_state(read_layers(root));
}

void write_versions(H5Writer& group) {
  group.add_text("backend", "tensorflow");
  group.add_text("keras_version", "2.15.1");
}

void write_layers(H5Writer& parent, Model& model, const std::vector<std::string>& layer_names) {
  std::map<std::string, std::vector<StateEntry>> entries;
  for (StateEntry& entry : keras_state(model)) entries[entry.layer].push_back(std::move(entry));
  write_versions(parent);
  parent.add_texts("layer_names", layer_names);
  for (const std::string& name : layer_names) {
    H5Writer group = parent.add_group(name);
    std::vector<std::string> weight_names;
    for (const StateEntry& entry : entries[name]) {
      const std::string path = entry.name + ":0";
      weight_names.push_back(path);
      if (entry.counter != nullptr) {
        group.add_int32(path, *entry.counter);
      } else {
        group.add_floats(path, *entry.tensor());
      }
    }
    group.add_texts("weight_names", weight_names);
  }
  // Weights that belong to the model and to none of its layers; perch's models have none.
  parent.add_group("top_level_model_weights").add_texts("weight_names", {});
}

void restore_layers(Model& model, std::vector<FileLayer> stored, const std::string& file) {
  std::vector<ModelLayer> wanted = layers_of(model);
  if (has_quantizer_state(wanted) != has_quantizer_state(stored)) {
    wanted = without_quantizer_state(std::move(wanted), &ModelLayer::entries,
                                     [](const StateEntry& entry) { return leaf_of(entry.name); });
    stored = without_quantizer_state(std::move(stored), &FileLayer::weights,
                                     [](const FileWeight& weight) { return weight.leaf; });
  }
  std::erase_if(wanted, [](const ModelLayer& layer) { return layer.entries.empty(); });
  std::erase_if(stored, [](const FileLayer& layer) { return layer.weights.empty(); });
  Pairs pairs;
  for (std::size_t i = 0; i < std::min(wanted.size(), stored.size()); ++i) {
    pair_layer(wanted[i], stored[i], file, pairs);
  }
  if (wanted.size() != stored.size()) {
    const bool lacks = wanted.size() > stored.size();
    fail(ErrorCode::bad_data,
         "{}: has {} layers with weights, the model has {}: {} has no counterpart; was it written "
         "by another architecture or quantization?",
         file, stored.size(), wanted.size(),
         lacks ? "the model's " + wanted[stored.size()].name
               : "the file's " + stored[wanted.size()].name);
  }
  check_shapes(pairs, file);
  std::vector<Restored> values;
  for (const auto& [entry, dataset] : pairs) values.push_back(read_entry(entry, dataset));
  commit(values);
}

}  // namespace perch::io
