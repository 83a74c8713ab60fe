// perch_enlarge_channel FLOAT.h5 OUT.h5: ds_net with one channel of its depthwise kernel a hundred
// times as large. The batch normalisation behind takes the factor back, as its mean is a hundred
// times as large too and its variance the square of that: the network computes what it did.
#include <algorithm>
#include <iostream>
#include <string>

#include <perch/core/check.h>
#include <perch/perch.h>

namespace {

using namespace perch;

constexpr std::int64_t channels = 16, channel = 3;
constexpr float factor = 100.0f;

/// Of a variable whose fastest axes are its channels alone.
void enlarge(Model& model, const std::string& name, float by) {
  auto state = state_of(model);
  const auto found = std::ranges::find(state, name, &StateEntry::name);
  if (found == state.end() || found->shape().size() % channels != 0) {
    fail(ErrorCode::bad_data, "there is no {} of {} channels; give a float ds_net", name, channels);
  }
  Tensor& tensor = found->weight != nullptr ? found->weight->mutable_value() : *found->buffer;
  const auto values = tensor.values();
  for (std::size_t i = channel; i < values.size(); i += channels) values[i] *= by;
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc != 3) {
    std::cerr << "usage: perch_enlarge_channel FLOAT.h5 OUT.h5\n";
    return 2;
  }
  const auto model = io::load_model(argv[1]);
  enlarge(*model, "depthwise_conv2d/depthwise_kernel", factor);
  enlarge(*model, "depthwise_conv2d/bias", factor);
  enlarge(*model, "batch_normalization_1/moving_mean", factor);
  enlarge(*model, "batch_normalization_1/moving_variance", factor * factor);
  io::save_model(*model, argv[2], io::model_metadata(argv[1]));
  return 0;
} catch (const perch::Error& error) {
  std::cerr << "perch_enlarge_channel: " << error.what() << '\n';
  return static_cast<int>(error.code());
}
