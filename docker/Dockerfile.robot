# The robot computer: a real ROS 2, the nodes built by colcon, no torch and no simulator.
#   docker build -f docker/Dockerfile.robot -t sim2arm-robot .
#   docker run --rm --network host -it -v "$PWD/bundle:/bundle:ro" sim2arm-robot
#       (-e RMW_IMPLEMENTATION=rmw_cyclonedds_cpp where the robot runs Cyclone DDS)
#   ros2 launch sim2arm_ros policy.launch.py robot:=fr3 bundle:=/bundle
ARG DISTRIBUTION=jazzy
FROM ros:${DISTRIBUTION}

RUN apt-get update \
    && apt-get install -y --no-install-recommends make python3-colcon-common-extensions python3-venv \
       "ros-${ROS_DISTRO}-control-msgs" "ros-${ROS_DISTRO}-controller-manager-msgs" \
       "ros-${ROS_DISTRO}-rmw-cyclonedds-cpp" \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /sim2arm
COPY . .
# Sourced, so that install/setup.bash brings the ROS below along.
RUN . "/opt/ros/${ROS_DISTRO}/setup.sh" && make robot
# Shells without a terminal (`docker run IMAGE bash -c ...`) read this; the CMD does it by itself.
ENV BASH_ENV=/sim2arm/install/setup.bash

CMD ["bash", "-c", "source install/setup.bash && exec bash"]
