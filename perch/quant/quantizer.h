// Quantizer: fake-quantizes one tensor and owns the state that this takes.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <perch/core/ops/fake_quant.h>
#include <perch/core/ops/step_quant.h>
#include <perch/layers/layer.h>
#include <perch/layers/spec.h>
#include <perch/quant/spec.h>

namespace perch {

/// What users derive from for quantizers of their own, see register_quantizer(). visit() reports
/// first the specification (visit_spec), then state: what is trained as weights, the rest as
/// buffers and counters.
class Quantizer : public Visitable {
 public:
  /// Creates the state for tensors of this shape. `channel_axes` are those that per_channel means.
  /// Throws Error(usage) for axes that the shape does not have.
  virtual void build(const Shape& shape, const std::vector<int>& channel_axes) = 0;
  /// Training moves the range first; otherwise no state changes. Trained state requires gradients
  /// only where context.gradients says so.
  virtual Variable operator()(const Variable& x, const Context& context) = 0;

  virtual const QuantSpec& spec() const = 0;
  /// The axes that keep a range of their own, resolved by build(); empty when per tensor. With
  /// groups, axes of the shape whose grouped axis is cut in two.
  virtual const std::vector<int>& axes() const = 0;
  /// The grid of each range, for inspection and export; none where levels are not evenly spaced.
  virtual std::vector<QuantGrid> grids() const { return {}; }

  /// Another width from now on; what is tracked or trained keeps its range. check_bits() throws
  /// what set_bits() would: Error(usage) for a width that the specification cannot have, and for a
  /// quantizer without a choice, as one is that does not override these.
  virtual void check_bits(int bits) const;
  virtual void set_bits(int bits);

  /// What it does at present, for schedules to switch; saved with the model. visit_mode() reports
  /// it behind the specification.
  struct Mode {
    bool observes = true;   ///< training moves, and trains, its state
    bool quantizes = true;  ///< else x comes out as it is, after it was observed
    float share = 1.0f;     ///< of the quantized value in what comes out, the rest is x
  };
  Mode mode = {};
  /// operator() as the mode allows.
  Variable run(const Variable& x, const Context& context);
};

/// A grid's zero point as inspection and export show it: less 2^(bits - 1) with signed_codes.
std::int64_t shown_zero_point(const QuantGrid& grid, const QuantSpec& spec);

/// What is quantized: some quantizers treat activations in another way.
enum class TensorRole { weight, activation };

/// Throws Error(usage) for a specification that is not valid.
std::unique_ptr<Quantizer> make_quantizer(const QuantSpec& spec, TensorRole role);

/// Makes Custom{name} known to make_quantizer, command line and files, or replaces it. The factory
/// gets the whole specification. Unlocked: register before threads make quantizers. Throws
/// Error(usage) for one of perch's own names.
using QuantizerFactory =
    std::function<std::unique_ptr<Quantizer>(const QuantSpec& spec, TensorRole role)>;
void register_quantizer(const std::string& name, QuantizerFactory factory);
std::vector<std::string> registered_quantizers();

/// Report a specification and a mode as configuration.
void visit_spec(Visitor& visitor, QuantSpec& spec);
void visit_mode(Visitor& visitor, Quantizer::Mode& mode);
/// A specification as plain data, and back (a mode in it is passed over). Throws Error(bad_data)
/// for a key that is unknown or of another type, Error(usage) for a specification that is not
/// valid.
LayerSpec config_of(const QuantSpec& spec);
QuantSpec spec_from_config(const LayerSpec& config);

/// The channels' axes, axes or groups of a specification for one shape.
struct RangeAxes {
  std::vector<int> axes;  ///< not negative, rising; of the cut shape where there are groups
  std::int64_t ranges = 1;
  std::optional<int> cut;  ///< the axis that becomes two: [groups, group_size]

  /// The extents of a tensor with its grouped axis cut; the first may differ from build()'s.
  std::vector<std::int64_t> cut_extents(const Shape& shape, std::int64_t group_size) const;
};
/// Throws Error(usage) for an axis that the shape does not have and a group that does not divide.
RangeAxes range_axes(const Granularity& granularity, const Shape& shape,
                     const std::vector<int>& channel_axes);

/// How a specification rounds in this step; random numbers where that is stochastic and training.
StepQuantOptions step_options(const std::vector<int>& axes, const QuantSpec& spec,
                              const Context& context);

/// What perch's own quantizers share: the specification, its axes, groups, observe_only.
class SpecQuantizer : public Quantizer {
 public:
  /// Throws Error(usage) for a specification that is not valid.
  explicit SpecQuantizer(QuantSpec spec);

  void build(const Shape& shape, const std::vector<int>& channel_axes) final;
  Variable operator()(const Variable& x, const Context& context) final;
  void visit(Visitor& visitor) final;
  void check_bits(int bits) const final;
  void set_bits(int bits) override;
  const QuantSpec& spec() const final { return spec_; }
  const std::vector<int>& axes() const final { return axes_.axes; }

 protected:
  /// `ranges`: the shape of state with one value for each range, [] or [count].
  virtual void create_state(const Shape& ranges) = 0;
  /// Moves the state where context.training, before the values are quantized with it. Grouped axes
  /// of x are cut already.
  virtual void observe(const Tensor& x, const Context& context) = 0;
  virtual Variable quantize(const Variable& x, const Context& context) = 0;
  virtual void visit_state(Visitor& visitor) = 0;
  /// Number of ranges; 0 before build().
  std::int64_t ranges() const { return built_ ? axes_.ranges : 0; }

 private:
  QuantSpec spec_;
  RangeAxes axes_;
  bool built_ = false;
};

}  // namespace perch
