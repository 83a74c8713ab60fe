// Whole networks against TensorFlow: losses, gradients, state and three Adam steps of every run in
// wrapper_step.h5. The limits are the table "Tolerances" in tests/golden/README.md.
#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <set>

#include <catch2/catch.hpp>
#include <tests/support/golden.h>
#include <tests/support/seed_style.h>

#include <perch/core/ops/loss.h>
#include <perch/layers/state.h>
#include <perch/models/models.h>
#include <perch/optim/optimizers.h>
#include <perch/quant/wrapper.h>

namespace perch {
namespace {

using golden::Group;

struct Limits {
  double infer_initial, first_loss, gradient, bias_gradient, moving;
  double mean_after_first, mean_after, state_after;  // state relative to its largest value
  double later_losses;                               // relative
  double infer_after;                                // mean
};

// The table's columns. `range` (1e-6) and elements after step k (2 lr k) are the same in all.
constexpr double range_limit = 1e-6;
constexpr Limits float_limits{1e-5, 1e-5, 2e-3, 1e-4, 1e-5, 2e-6, 2e-5, 5e-4, 1e-3, 1e-3};
constexpr Limits temp_net_grid{1e-5, 2e-4, 2e-3, 1e-3, 1e-5, 5e-6, 5e-4, 2e-2, 5e-2, 2e-2};
constexpr Limits temp_net_other{1e-5, 5e-4, 5e-3, 2e-3, 3e-5, 5e-6, 2e-4, 5e-3, 1e-2, 5e-3};
constexpr Limits depthwise_quantized{1e-5, 1e-4, 2e-2, 2e-3, 3e-5, 2e-4, 1e-3, 1e-2, 5e-3, 2e-3};

struct Difference {
  double largest = 0, mean = 0, scale = 0;  // scale: the largest expected absolute value

  double relative() const { return largest / std::max(scale, 1e-30); }
};

Difference difference(std::span<const float> actual, std::span<const float> expected) {
  REQUIRE(actual.size() == expected.size());
  Difference result;
  for (std::size_t i = 0; i < actual.size(); ++i) {
    const double d = std::abs(double{actual[i]} - double{expected[i]});
    result.largest = std::isnan(d) ? INFINITY : std::max(result.largest, d);
    result.mean += d / static_cast<double>(actual.size());
    result.scale = std::max(result.scale, std::abs(double{expected[i]}));
  }
  return result;
}

// What the fixture keeps of a tensor: all rows, or every row_stride-th one.
std::vector<float> kept(const Tensor& full, const Group& group, const std::string& dataset) {
  const auto values = full.values();
  if (!group.has_attribute("row_stride", dataset)) return {values.begin(), values.end()};
  const auto stride = static_cast<std::size_t>(group.integer("row_stride", dataset));
  const auto row = values.size() / static_cast<std::size_t>(full.shape()[0]);
  std::vector<float> result;
  for (std::size_t i = 0; i < values.size(); i += stride * row) {
    result.insert(result.end(), values.begin() + static_cast<std::ptrdiff_t>(i),
                  values.begin() + static_cast<std::ptrdiff_t>(i + row));
  }
  return result;
}

bool is_range(const std::string& name) {
  return name.ends_with("_min") || name.ends_with("_max");
}

// In front of BatchNorm the exact gradient of a bias is about 0, and Adam amplifies its noise.
bool is_conv_bias(const std::string& name) {
  return name.ends_with("/bias") && name.find("conv") != std::string::npos;
}

Variable logits_behind(const Variable& output) {
  REQUIRE(std::string(output.op()) == "softmax");
  return output.inputs().at(0);
}

// One run of the file and the network that it describes.
class Run {
 public:
  Run(const Group& root, const Group& group)
      : root_(root),
        group_(group),
        style_(golden::seed_style(group)),
        arch_(group.text("arch")),
        model_(make_model(arch_)) {
    model_->build(root.shape("x").unbatched().unbatched());
    golden::quantize_like_seed(*model_, style_);
    const bool grid = group.has_attribute("grid") && group.flag("grid");
    limits_ = !style_.quantized()   ? float_limits
              : arch_ != "temp_net" ? depthwise_quantized
              : grid                ? temp_net_grid
                                    : temp_net_other;
  }

  void check() {
    check_names();
    check_inference("infer_initial",
                    [&](const Difference& d) { CHECK(d.largest <= limits_.infer_initial); });
    check_forward();
    for (const char* const tag : {"logits", "double_softmax"}) {
      if (!group_.contains(std::string("grad_") + tag)) continue;
      CAPTURE(tag);
      check_gradients(tag);
      check_steps(tag);
    }
  }

 private:
  // Puts the initial variables back.
  void reset() {
    for (const StateEntry& entry : state_of(*model_)) {
      const std::string dataset = "initial/" + entry.name;
      if (entry.counter != nullptr) {
        *entry.counter = static_cast<std::int32_t>(group_.ints(dataset).values.at(0));
      } else {
        (entry.weight != nullptr ? entry.weight->mutable_value() : *entry.buffer)
            .copy_from(group_.tensor(dataset));
      }
    }
  }

  Variable batch(std::int64_t step) const { return Variable(root_.tensor("x", step)); }

  Variable loss(const Variable& output, std::int64_t step, const std::string& tag) const {
    const auto labels = root_.ints("labels");
    const auto first = labels.values.begin() + step * labels.row_size();
    const std::vector<std::int32_t> batch_labels(first, first + labels.row_size());
    return sparse_softmax_cross_entropy(tag == "logits" ? logits_behind(output) : output,
                                        batch_labels);
  }

  std::vector<Parameter> parameters() {
    std::vector<Parameter> result;
    for (const StateEntry& entry : state_of(*model_)) {
      if (entry.trainable) result.push_back({entry.name, *entry.weight});
    }
    return result;
  }

  void check_names() {
    std::set<std::string> names, trainable;
    for (const StateEntry& entry : state_of(*model_)) {
      names.insert(entry.name);
      if (entry.trainable) trainable.insert(entry.name);
    }
    const auto expected = group_.strings("variable_names");
    const auto expected_trainable = group_.strings("trainable_names");
    CHECK(names == std::set(expected.begin(), expected.end()));
    CHECK(trainable == std::set(expected_trainable.begin(), expected_trainable.end()));
    reset();
  }

  template <class Check>
  void check_inference(const std::string& dataset, const Check& check) {
    INFO(dataset);
    const Variable output = model_->forward(batch(0), Context::for_inference());
    check(difference(output.value().values(), group_.floats(dataset).values));
  }

  // One forward pass in training mode from the initial variables: outputs of all layers, losses,
  // state.
  void check_forward() {
    reset();
    std::map<std::string, Tensor> outputs;
    Context context = Context::for_training(0, 0);
    context.on_output = [&](const Layer& layer, const Variable& y) {
      outputs.emplace(layer.name(), y.value());
    };
    const Variable output = model_->forward(batch(0), context);
    CHECK(loss(output, 0, "logits").value().item() ==
          Approx(group_.floats("loss_logits").values.at(0)).margin(limits_.first_loss).epsilon(0));
    CHECK(loss(output, 0, "").value().item() ==
          Approx(group_.floats("loss_literal_double_softmax").values.at(0))
              .margin(limits_.first_loss)
              .epsilon(0));

    const Group forward = group_.group("forward");
    for (const std::string& dataset : forward.datasets()) {
      CAPTURE(dataset);
      if (dataset.starts_with("layer_")) {
        check_output(forward, dataset, outputs.at(dataset.substr(std::string("layer_").size())));
      }
    }
    const auto logits =
        difference(logits_behind(output).value().values(), forward.floats("logits").values);
    CHECK(logits.mean <= limits_.first_loss);
    for (const StateEntry& entry : state_of(*model_)) {
      if (entry.weight == nullptr) check_first_state(entry);
    }
    check_quantized_kernels(forward);
  }

  // A value that rounds to the neighbouring level is rare; a mistake moves most of them.
  void check_output(const Group& forward, const std::string& dataset, const Tensor& output) {
    const auto expected = forward.floats(dataset).values;
    const auto probe = output.values().first(expected.size());
    const double near = 1e-3 * difference(probe, expected).scale;
    std::size_t moved = 0;
    for (std::size_t i = 0; i < expected.size(); ++i) {
      if (!(std::abs(double{probe[i]} - double{expected[i]}) <= near)) ++moved;
    }
    CHECK(moved <= expected.size() / 50);
    if (!forward.has_attribute("full_sumsq", dataset)) return;
    double squares = 0;
    for (const float value : output.values()) squares += double{value} * double{value};
    CHECK(squares == Approx(forward.number("full_sumsq", dataset)).epsilon(1e-3));
  }

  void check_first_state(const StateEntry& entry) {
    CAPTURE(entry.name);
    const std::string dataset = "state_after_forward/" + entry.name;
    if (entry.counter != nullptr) {
      CHECK(*entry.counter == group_.ints(dataset).values.at(0));
      return;
    }
    const Difference d = difference(entry.buffer->values(), group_.floats(dataset).values);
    if (is_range(entry.name)) {
      CHECK(d.largest <= range_limit);
    } else {
      CHECK(d.relative() <= limits_.moving);
    }
  }

  // Equal to the bit. What a wrapper tracks but does not use has no quantized kernel here.
  void check_quantized_kernels(const Group& forward) {
    for (const Model::Node& node : model_->nodes()) {
      auto* const wrapper = dynamic_cast<QuantizeWrapper*>(node.layer.get());
      if (wrapper == nullptr) continue;
      const Weights weights = wrapper->layer().own_weights(Context::for_inference());
      for (const auto& [weight, quantizer] : wrapper->quantizers()) {
        const std::string dataset = "quantized_" + wrapper->layer().name() + "/" + weight;
        if (!weights.contains(weight) || quantizer->spec().observe_only) continue;
        CAPTURE(dataset);
        const Variable quantized = (*quantizer)(weights[weight], Context::for_inference());
        CHECK(difference(quantized.value().values(), forward.floats(dataset).values).largest == 0);
      }
    }
  }

  void check_gradients(const std::string& tag) {
    reset();
    loss(model_->forward(batch(0), Context::for_training(0, 0)), 0, tag).backward();
    const Group gradients = group_.group("grad_" + tag);
    for (Parameter& parameter : parameters()) {
      CAPTURE(parameter.name);
      const Tensor gradient = parameter.variable.take_grad();
      REQUIRE_FALSE(gradient.empty());
      const Difference d = difference(kept(gradient, gradients, parameter.name),
                                      gradients.floats(parameter.name).values);
      if (is_conv_bias(parameter.name)) {
        CHECK(d.largest <= limits_.bias_gradient);
      } else {
        CHECK(d.relative() <= limits_.gradient);
      }
    }
  }

  void check_steps(const std::string& tag) {
    reset();
    Adam adam({.learning_rate = static_cast<float>(root_.number("learning_rate")),
               .beta_1 = root_.number("adam_beta_1"),
               .beta_2 = root_.number("adam_beta_2"),
               .epsilon = static_cast<float>(root_.number("adam_epsilon"))});
    const auto losses = group_.floats("adam_losses_" + tag).values;
    for (std::size_t step = 0; step < losses.size(); ++step) {
      CAPTURE(step);
      const auto index = static_cast<std::int64_t>(step);
      const Variable output =
          model_->forward(batch(index), Context::for_training(0, static_cast<std::uint32_t>(step)));
      const Variable value = loss(output, index, tag);
      value.backward();
      const double limit =
          step == 0 ? limits_.first_loss : limits_.later_losses * std::abs(losses[step]);
      CHECK(std::abs(value.value().item() - losses[step]) <= limit);
      auto trained = parameters();
      adam.step(trained, adam.learning_rate());
      check_variables(tag, index, adam.learning_rate());
    }
    check_inference("infer_after_" + tag,
                    [&](const Difference& d) { CHECK(d.mean <= limits_.infer_after); });
  }

  void check_variables(const std::string& tag, std::int64_t step, double learning_rate) {
    const Group after = group_.group("after_" + tag);
    const double furthest = 2.0 * learning_rate * static_cast<double>(step + 1);
    for (const StateEntry& entry : state_of(*model_)) {
      CAPTURE(entry.name);
      if (entry.counter != nullptr) {
        const auto rows = after.ints(entry.name).values;
        CHECK(*entry.counter == rows.at(static_cast<std::size_t>(step)));
        continue;
      }
      const Difference d = difference(kept(*entry.tensor(), after, entry.name),
                                      after.tensor(entry.name, step).values());
      if (entry.weight == nullptr) {
        CHECK(d.relative() <= limits_.state_after);
        continue;
      }
      CHECK(d.largest <= furthest);
      if (is_conv_bias(entry.name)) continue;
      CHECK(d.mean <= (step == 0 ? limits_.mean_after_first : limits_.mean_after));
    }
  }

  const Group& root_;
  Group group_;
  golden::SeedStyle style_;
  std::string arch_;
  std::unique_ptr<Model> model_;
  Limits limits_;
};

}  // namespace

TEST_CASE("golden: networks train as in TensorFlow: losses, gradients, state, Adam steps") {
  const Group root = Group::open(golden::folder() / "wrapper_step.h5");
  std::int64_t cases = 0;
  for (const std::string& network : root.groups()) {
    const Group runs = root.group(network);
    for (const std::string& name : runs.groups()) {
      const Group group = runs.group(name);
      // tfmot itself fails there, and nothing is recorded.
      if (!group.has_attribute("arch") || group.text("status") == "error") continue;
      INFO(group.path());
      ++cases;
      Run(root, group).check();
    }
  }
  golden::report(cases);
}

}  // namespace perch
