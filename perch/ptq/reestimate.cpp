#include <memory>
#include <utility>
#include <vector>

#include <perch/core/check.h>
#include <perch/layers/batch_norm.h>
#include <perch/layers/graph.h>
#include <perch/layers/spec.h>
#include <perch/ptq/parts.h>
#include <perch/ptq/pass.h>
#include <perch/ptq/reestimate.h>
#include <perch/quant/wrapper.h>

namespace perch {
namespace {

/// The mean of one tensor over batches, in double.
class Average {
 public:
  void add(const Tensor& values) {
    sums_.resize(static_cast<std::size_t>(values.size()));
    for (std::size_t i = 0; i < sums_.size(); ++i) sums_[i] += double{values.values()[i]};
    ++count_;
  }
  void write_to(Tensor& values) const {
    for (std::size_t i = 0; i < sums_.size(); ++i) {
      values.values()[i] = static_cast<float>(sums_[i] / count_);
    }
  }

 private:
  std::vector<double> sums_;
  int count_ = 0;
};

/// A layer that forgets all former batches, so that its moving statistics are the last one's.
class Forgetful {
 public:
  explicit Forgetful(BatchNorm& norm) : norm_(norm) {
    read_config(norm, config_);
    set_momentum(0.0f);
  }
  ~Forgetful() { apply_config(config_, norm_); }
  Forgetful(const Forgetful&) = delete;
  Forgetful& operator=(const Forgetful&) = delete;

  void add_batch() {
    mean_.add(norm_.moving_mean());
    variance_.add(norm_.moving_variance());
  }
  void finish() {
    mean_.write_to(norm_.moving_mean());
    variance_.write_to(norm_.moving_variance());
  }

 private:
  void set_momentum(float momentum) {
    LayerSpec config = config_;
    for (auto& [key, value] : config.config) {
      if (key == "momentum") value = momentum;
    }
    apply_config(config, norm_);
  }

  BatchNorm& norm_;
  LayerSpec config_;
  Average mean_, variance_;
};

void collect(Layer& layer, std::vector<std::unique_ptr<Forgetful>>& norms) {
  for_each_layer(layer, [&](Layer& each) {
    if (auto* const wrapper = dynamic_cast<QuantizeWrapper*>(&each)) {
      if (wrapper->trainable()) collect(wrapper->layer(), norms);
    } else if (auto* const norm = dynamic_cast<BatchNorm*>(&each); norm && norm->trainable()) {
      norms.push_back(std::make_unique<Forgetful>(*norm));
    }
  });
}

}  // namespace

void reestimate_batch_norm(Model& model, const Dataset& data, const ReestimateOptions& options) {
  refuse_folded("reestimate_batch_norm", model);
  check_images("reestimate_batch_norm", model, data, options.images, options.batch_size);
  std::vector<std::unique_ptr<Forgetful>> norms;
  collect(model, norms);
  PERCH_CHECK(!norms.empty(),
              "reestimate_batch_norm: the model has no BatchNormalization that is not frozen");
  run_passes(model, data, options.images, options.batch_size,
             {.batch_statistics = true, .after_pass = [&] {
                for (const auto& norm : norms) norm->add_batch();
              }});
  for (const auto& norm : norms) norm->finish();
}

}  // namespace perch
