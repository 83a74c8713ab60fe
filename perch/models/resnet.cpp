#include <perch/core/check.h>
#include <perch/core/suggest.h>
#include <perch/layers/layers.h>
#include <perch/models/models.h>

namespace perch {
namespace {

NodeId add_convolution(Graph& net, NodeId x, std::int64_t filters, Size2D size, Size2D stride) {
  const NodeId y = net.add(
      Conv2D(filters, size, {.strides = stride, .padding = Padding::same, .use_bias = false}), {x});
  return net.add(BatchNorm(), {y});
}

// [H, W, C] -> [(H + 1) / 2, (W + 1) / 2, 2 C]. Keras pads images only in height and width, so that
// the channels have to be the width of an image of one pixel a row. Zeros behind, as in the
// published Torch code (fb.resnet.torch).
NodeId add_zero_padded(Graph& net, NodeId x, Size2D halved, std::int64_t channels) {
  const NodeId pixels = net.add(AveragePooling2D(1, {.strides = 2}), {x});
  const NodeId rows = net.add(Reshape({-1, channels, 1}), {pixels});
  const NodeId padded = net.add(ZeroPadding2D({.right = channels}), {rows});
  return net.add(Reshape({halved.height, halved.width, 2 * channels}), {padded});
}

}  // namespace

const std::vector<std::string>& shortcut_names() {
  static const std::vector<std::string> names{"zero_padded", "projection"};
  return names;
}

Shortcut shortcut_of(const std::string& name) {
  return static_cast<Shortcut>(index_of("shortcut", name, shortcut_names()));
}

Graph resnet20(const ResNetOptions& options) {
  PERCH_CHECK(options.image.rank() == 3, "resnet20: images [height, width, channels], not {}",
              options.image.to_string());
  Size2D image{options.image[0], options.image[1]};
  Graph net;
  NodeId x = net.add(ReLU(), {add_convolution(net, Model::input, 16, 3, 1)});
  for (const std::int64_t filters : {16, 32, 64}) {
    for (int block = 0; block < 3; ++block) {
      const bool halves = filters > 16 && block == 0;
      const NodeId inner = net.add(ReLU(), {add_convolution(net, x, filters, 3, halves ? 2 : 1)});
      const NodeId residual = add_convolution(net, inner, filters, 3, 1);
      NodeId shortcut = x;
      if (halves) {
        image = {(image.height + 1) / 2, (image.width + 1) / 2};
        shortcut = options.shortcut == Shortcut::projection
                       ? add_convolution(net, x, filters, 1, 2)
                       : add_zero_padded(net, x, image, filters / 2);
      }
      x = net.add(ReLU(), {net.add(Add(), {residual, shortcut})});
    }
  }
  const NodeId mean = net.add(GlobalAveragePooling2D(), {x});
  net.add(Dense(options.classes, {.activation = "softmax"}), {mean});
  net.set_name(options.shortcut == Shortcut::projection ? "resnet20_projection" : "resnet20");
  return net;
}

}  // namespace perch
