#include <algorithm>
#include <map>
#include <set>

#include <perch/core/check.h>
#include <perch/io/keras_model.h>

namespace perch::io {

namespace {

// Extents come from files: products must not overflow.
std::int64_t capped_product(std::initializer_list<std::int64_t> factors) {
  constexpr std::int64_t cap = std::int64_t{1} << 40;
  std::int64_t product = 1;
  for (const std::int64_t factor : factors) {
    if (factor < 0 || (factor > 0 && product > cap / factor)) return cap;
    product *= factor;
  }
  return product;
}

std::int64_t integer(const LayerSpec& spec, const char* key) {
  const ConfigValue* const value = spec.find(key);
  const auto* number = value == nullptr ? nullptr : std::get_if<std::int64_t>(value);
  return number == nullptr ? 0 : *number;
}

std::pair<std::int64_t, std::int64_t> size(const LayerSpec& spec, const char* key) {
  const ConfigValue* const value = spec.find(key);
  const auto* list = value == nullptr ? nullptr : std::get_if<std::vector<std::int64_t>>(value);
  return list == nullptr || list->size() != 2 ? std::pair<std::int64_t, std::int64_t>{}
                                              : std::pair{(*list)[0], (*list)[1]};
}

// The weight that takes the most room, and how many values the configuration gives it.
struct LargestWeight {
  std::string leaf;
  std::int64_t values = 0;
};

LargestWeight largest_weight(const LayerSpec& spec, const Shape& input) {
  const std::int64_t channels = input.rank() == 0 ? 1 : input[-1];
  const auto [height, width] = size(spec, "kernel_size");
  if (spec.kind == "Conv2D") {
    const std::int64_t group = channels / std::max<std::int64_t>(integer(spec, "groups"), 1);
    return {"kernel", capped_product({height, width, group, integer(spec, "filters")})};
  }
  if (spec.kind == "DepthwiseConv2D") {
    return {"depthwise_kernel",
            capped_product({height, width, channels, integer(spec, "depth_multiplier")})};
  }
  if (spec.kind == "Dense") return {"kernel", capped_product({channels, integer(spec, "units")})};
  if (spec.kind == "BatchNormalization") return {"moving_mean", channels};
  return {};
}

class CheckedBuild {
 public:
  CheckedBuild(const Skeleton& skeleton, const FindStored& find, const std::string& file)
      : skeleton_(skeleton), find_(find), file_(file) {}

  /// `outer`: the layer of the whole model that this one is; null for the whole model.
  void build(Model& model, const Shape& input, const std::string* outer) {
    std::vector<Shape> shapes;
    for (const Model::Node& node : model.nodes()) {
      if (node.layer->name().empty() || !names_.insert(node.layer->name()).second) {
        fail(ErrorCode::bad_data, "{}: layer name '{}' is empty or not unique", file_,
             node.layer->name());
      }
      std::vector<Shape> inputs;
      for (const NodeId id : node.inputs) {
        inputs.push_back(id == Model::input ? input : shapes[static_cast<std::size_t>(id)]);
      }
      shapes.push_back(build_layer(*node.layer, inputs, outer));
      check_elements(shapes.back(), node.layer->name());
    }
    if (shapes.empty()) fail(ErrorCode::bad_data, "{}: the model has no layers", file_);
    model.set_shapes(input, std::move(shapes));
  }

 private:
  Shape build_layer(Layer& layer, const std::vector<Shape>& inputs, const std::string* outer) {
    const std::string& top = outer == nullptr ? layer.name() : *outer;
    if (auto* model = dynamic_cast<Model*>(&layer)) {
      build(*model, inputs.front(), &top);
      return model->output_shape();
    }
    const auto norm = skeleton_.norms.find(&layer);
    const std::string where = file_ + ": " + layer.name();
    if (norm != skeleton_.norms.end()) check_norm_axis(norm->second, inputs.front(), where);
    auto* wrapper = dynamic_cast<QuantizeWrapper*>(&layer);
    const LayerSpec spec = describe(wrapper != nullptr ? wrapper->layer() : layer);
    check_largest(largest_weight(spec, inputs.front()), layer.name(), top, spec.name);
    try {
      return layer.build(inputs, WeightInit(0));
    } catch (const Error& error) {
      fail(ErrorCode::bad_data, "{}: {}", where, error.what());
    }
  }

  void check_largest(const LargestWeight& weight, const std::string& name, const std::string& top,
                     const std::string& owner) {
    if (weight.leaf.empty()) return;
    const auto found = find_(top, owner, weight.leaf);
    if (!found) {
      fail(ErrorCode::bad_data, "{}: layer {} has no dataset {} in the file; save the model again",
           file_, name, weight.leaf);
    }
    if (found->shape.size() != weight.values) {
      fail(ErrorCode::bad_data,
           "{}: {} has the shape {}, but the configuration of {} asks for {} "
           "values; was it edited, or the file mixed with another?",
           file_, found->path, found->shape.to_string(), name, weight.values);
    }
  }

  void check_elements(const Shape& shape, const std::string& name) const {
    std::int64_t elements = 1;
    for (const std::int64_t extent : shape) {
      if (extent > 0 && elements > max_elements / extent) {
        fail(ErrorCode::bad_data, "{}: the output of {} would be {}, which is too large", file_,
             name, shape.to_string());
      }
      elements *= extent;
    }
  }

  const Skeleton& skeleton_;
  const FindStored& find_;
  const std::string& file_;
  std::set<std::string> names_;
};

}  // namespace

void build_checked(Skeleton& skeleton, const FindStored& find, const std::string& file) {
  CheckedBuild(skeleton, find, file).build(*skeleton.model, skeleton.input_shape, nullptr);
}

FindStored find_in(const std::vector<FileLayer>& layers) {
  // Weights of one name in a nested model come one after the other, where names do not tell.
  return [&layers, last = std::string(), seen = std::map<std::string, std::size_t>(),
          by_name = std::map<std::string, const FileWeight*>()](
             const std::string& top, const std::string& owner,
             const std::string& leaf) mutable -> std::optional<StoredWeight> {
    const auto layer = std::ranges::find(layers, top, &FileLayer::name);
    if (layer == layers.end()) return std::nullopt;
    if (top != last) {
      seen.clear();
      by_name = layer->by_name();
    }
    last = top;
    const auto named = by_name.find(owner + "/" + leaf);
    const std::size_t index = seen[leaf]++;
    const FileWeight* const weight =
        named != by_name.end() ? named->second : layer->find(leaf, index);
    if (weight == nullptr) return std::nullopt;
    const H5Dataset dataset = layer->dataset(*weight);
    return StoredWeight{dataset.path(), dataset.shape()};
  };
}

}  // namespace perch::io
